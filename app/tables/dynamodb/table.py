"""One DynamoDB table: requests with plain values, time limits, and the retries that the SDK leaves to its callers."""

from __future__ import annotations

import asyncio
import random
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import aiohttp
import stamina
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from app.domain.errors import DependencyUnavailable
from app.tables.dynamodb.items import from_attributes, to_attribute, to_attributes
from app.tables.dynamodb.keys import DUE_INDEX, DUE_JOBS

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

Response = Any
Parameter = str | int | Mapping[str, Any]
Action = tuple[str, Mapping[str, Any]]
"""A part of a transaction: Put, Update, Delete or ConditionCheck, and its parameters."""

_READ_SECONDS = 5
_CALL_SECONDS = 10
"""What one call may take, retries included."""
_MAX_BATCH = 25
"""The maximum that DynamoDB accepts."""
MAX_FOUND = 100
"""How many items `find_many` reads at most."""
_CONCURRENT_BATCHES = 4
_BATCH_PAUSES = (0.1, 0.2, 0.5, 1, 2, 5, 5)
"""How long to wait before the items that a throttled table did not process are sent again."""
_TRANSIENT_ERRORS = {
    # Two writes conflicted: the SDK does not retry these.
    "TransactionConflictException",
    "TransactionInProgressException",
    # The SDK retries these, but gives up earlier than we have to.
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
}
_TRANSIENT_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


def make_config() -> AioConfig:
    return AioConfig(
        connect_timeout=3,
        read_timeout=_READ_SECONDS,
        max_pool_connections=50,
        retries={"mode": "standard", "total_max_attempts": 3},
        ignore_configured_endpoint_urls=True,
    )


class ConditionFailed(Exception):
    """A conditional write was refused. `failed` tells which of its actions had a condition that failed."""

    def __init__(self, failed: Iterable[bool]) -> None:
        self.failed = tuple(failed)
        super().__init__(self.failed)


class DynamoDBTable:
    """Runs requests on the table.

    Keys, items and values are plain (str, bool, int, datetime, list, dict). In expressions, `#name` is the attribute of
    that name and `:name` is one of `values`. A write whose condition fails raises ConditionFailed.
    """

    def __init__(self, client: DynamoDBClient, *, name: str) -> None:
        self._client = client
        self._name = name

    async def find(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        response = await _call(self._client.get_item, self._request(Key=key, ConsistentRead=True))
        return from_attributes(response["Item"]) if "Item" in response else None

    async def find_many(self, keys: Sequence[Mapping[str, str]]) -> list[dict[str, Any]]:
        """Return those of at most MAX_FOUND items that exist, each once and in any order."""
        if not keys:
            return []
        found: list[dict[str, Any]] = []
        different = {tuple(key.values()): to_attributes(key) for key in keys}.values()
        requests: Any = {self._name: {"Keys": [*different], "ConsistentRead": True}}
        for pause in _BATCH_PAUSES:
            response = await _call(self._client.batch_get_item, {"RequestItems": requests})
            found += [from_attributes(item) for item in response["Responses"].get(self._name, [])]
            requests = response.get("UnprocessedKeys")
            if not requests:
                return found
            # The table is throttled, or the items are larger than 16 MB together.
            await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - no secret
        raise DependencyUnavailable("table")

    async def put(
        self, item: Mapping[str, Any], *, values: Mapping[str, Any] | None = None, **expressions: str
    ) -> None:
        await _call(self._client.put_item, self._request(Item=item, values=values, **expressions))

    async def update(self, key: Mapping[str, str], *, values: Mapping[str, Any], **expressions: str) -> dict[str, Any]:
        """Return the updated item."""
        request = self._request(Key=key, ReturnValues="ALL_NEW", values=values, **expressions)
        return from_attributes((await _call(self._client.update_item, request))["Attributes"])

    async def delete(
        self, key: Mapping[str, str], *, values: Mapping[str, Any] | None = None, **expressions: str
    ) -> None:
        await _call(self._client.delete_item, self._request(Key=key, values=values, **expressions))

    async def delete_all(self, *, partition: str, prefix: str, exclude: Mapping[str, str] | None = None) -> None:
        """Delete each item of `partition` whose sort key begins with `prefix`, except `exclude`. Not atomic."""
        found = self.query(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ProjectionExpression="#pk, #sk",
            values={"partition": partition, "prefix": prefix},
        )
        async for items in found:
            await self.delete_many([key for key in items if key != exclude])

    async def delete_many(self, keys: Sequence[Mapping[str, str]]) -> None:
        """Delete the items. Not atomic: after an error, some of them may have been deleted."""
        requests = [{"DeleteRequest": {"Key": to_attributes(key)}} for key in keys]
        batches = [requests[start : start + _MAX_BATCH] for start in range(0, len(requests), _MAX_BATCH)]
        for start in range(0, len(batches), _CONCURRENT_BATCHES):
            await asyncio.gather(*map(self._write_batch, batches[start : start + _CONCURRENT_BATCHES]))

    async def _write_batch(self, requests: Any) -> None:  # noqa: ANN401 - the types of boto3 depend on the direction
        for pause in _BATCH_PAUSES:
            response = await _call(self._client.batch_write_item, {"RequestItems": {self._name: requests}})
            requests = response.get("UnprocessedItems", {}).get(self._name)
            if not requests:
                return
            # The table is throttled, and has processed only some of the items.
            await asyncio.sleep(random.uniform(0.5, 1) * pause)  # noqa: S311 - no secret
        raise DependencyUnavailable("table")

    async def query_page(
        self, *, values: Mapping[str, Any], **parameters: Parameter
    ) -> tuple[list[dict[str, Any]], dict[str, Any] | None]:
        """Return at most `Limit` items or 1 MB, and the key to start after, or None after the last item."""
        response = await _call(self._client.query, self._query(values=values, **parameters))
        last_key = response.get("LastEvaluatedKey")
        return [from_attributes(item) for item in response["Items"]], from_attributes(last_key) if last_key else None

    def query(self, *, values: Mapping[str, Any], **parameters: Parameter) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the items in pages of at most 1 MB, or `Limit` items."""
        return _pages(self._client.query, self._query(values=values, **parameters))

    def scan(self, *, values: Mapping[str, Any], **parameters: Parameter) -> AsyncIterator[list[dict[str, Any]]]:
        return _pages(self._client.scan, self._request(ConsistentRead=True, values=values, **parameters))

    async def transact(self, *actions: Action) -> None:
        """Perform all actions or none of them."""
        items: list[Any] = [{verb: self._request(**parameters)} for verb, parameters in actions]
        token = str(uuid.uuid4())

        async def attempt() -> Response:
            nonlocal token
            try:
                return await self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
            except self._client.exceptions.TransactionCanceledException:
                # Nothing was written for certain, so the next try is a new transaction. After any other error this one
                # may have been committed: with the same token, DynamoDB does not apply it twice.
                token = str(uuid.uuid4())
                raise

        await _call(attempt, {})

    async def check(self) -> None:
        try:
            await self.find({"pk": "CHECK", "sk": "CHECK"})
            index = self.query(
                IndexName=DUE_INDEX, KeyConditionExpression="#due = :due", Limit=1, values={"due": DUE_JOBS}
            )
            await anext(index)
        except DependencyUnavailable as unavailable:
            if _code(unavailable.__cause__) not in {"ResourceNotFoundException", "ValidationException"}:
                raise
            raise RuntimeError(
                f"There is no DynamoDB table {self._name!r} with the keys pk and sk and the index {DUE_INDEX} at "
                f"{self._client.meta.endpoint_url}. To create it, run setup_localstack.sh (emulator) or deploy "
                "infra/template.yaml with python infra/deploy.py (AWS)."
            ) from unavailable.__cause__

    def _query(self, *, values: Mapping[str, Any], **parameters: Parameter) -> dict[str, Any]:
        # An index is updated with a short delay and does not support consistent reads.
        return self._request(ConsistentRead="IndexName" not in parameters, values=values, **parameters)

    def _request(self, *, values: Mapping[str, Any] | None = None, **parameters: Parameter) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self._name, **parameters}
        for name in request.keys() & {"Key", "Item", "ExclusiveStartKey"}:
            request[name] = to_attributes(request[name])
        if values:
            request["ExpressionAttributeValues"] = {f":{name}": to_attribute(value) for name, value in values.items()}
        expressions = " ".join(str(text) for name, text in parameters.items() if name.endswith("Expression"))
        if names := {f"#{name}": name for name in re.findall(r"#(\w+)", expressions)}:
            request["ExpressionAttributeNames"] = names
        return request


async def _pages(
    operation: Callable[..., Awaitable[Response]], request: dict[str, Any]
) -> AsyncIterator[list[dict[str, Any]]]:
    while True:
        response = await _call(operation, request)
        yield [from_attributes(item) for item in response["Items"]]
        if "LastEvaluatedKey" not in response:
            return
        request = {**request, "ExclusiveStartKey": response["LastEvaluatedKey"]}


async def _call(operation: Callable[..., Awaitable[Response]], request: Mapping[str, Any]) -> Response:
    response: Response = None
    try:
        async with asyncio.timeout(_CALL_SECONDS):
            retries = stamina.retry_context(
                on=_is_transient, attempts=None, timeout=None, wait_initial=0.05, wait_max=1.0, wait_jitter=0.05
            )
            async for attempt in retries:
                with attempt:
                    response = await operation(**request)
    except ClientError as error:
        if failed := _failed_conditions(error):
            raise ConditionFailed(failed) from error
        raise DependencyUnavailable("table") from error
    except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
        raise DependencyUnavailable("table") from error
    # botocore accepts every response with status 200, even a proxy's error page, as one without an item. Responses of
    # DynamoDB have a request id.
    if "RequestId" not in response["ResponseMetadata"]:
        raise DependencyUnavailable("table")
    return response


def _is_transient(error: Exception) -> bool:
    if not isinstance(error, ClientError):
        return False
    return _code(error) in _TRANSIENT_ERRORS or any(reason in _TRANSIENT_REASONS for reason in _reasons(error))


def _failed_conditions(error: ClientError) -> tuple[bool, ...]:
    if _code(error) == "ConditionalCheckFailedException":
        return (True,)
    failed = tuple(reason == "ConditionalCheckFailed" for reason in _reasons(error))
    return failed if any(failed) else ()


def _code(error: BaseException | None) -> str | None:
    return error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None


def _reasons(error: ClientError) -> list[str]:
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", ())]
