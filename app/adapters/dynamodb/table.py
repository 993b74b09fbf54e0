"""One client of one DynamoDB table: bounded in time, with the retries that the SDK leaves to its callers."""

from __future__ import annotations

import asyncio
import random
import re
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from app.adapters.dynamodb.items import DUE, DUE_JOBS, from_item, to_attribute, to_item
from app.adapters.server_clock import ServerClock
from app.core.errors import DependencyUnavailable

if TYPE_CHECKING:
    from types_aiobotocore_dynamodb import DynamoDBClient

Answer = Any
Parameter = str | int | Mapping[str, Any]

_BUDGET_SECONDS = 10
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 1.0
_DELETES_AT_ONCE = 20
_PASSING_ERRORS = {
    # Two writes met at one item: the SDK does not repeat these.
    "TransactionConflictException",
    "TransactionInProgressException",
    # The SDK repeats these, but not for as long as we can wait.
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "InternalServerError",
    "ServiceUnavailable",
}
_PASSING_REASONS = {"TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"}


class ConditionFailedError(Exception):
    """A conditional write was refused; `failed` says of which of its actions the condition failed."""

    def __init__(self, failed: Iterable[bool]) -> None:
        self.failed = tuple(failed)
        super().__init__(self.failed)


class DynamoDBTable:
    """Runs requests on the table.

    Keys, items and values are plain (str, bool, int, list, dict). In expressions `#name` stands for the
    attribute of that name and `:name` for one of `values`. A write whose condition fails raises ConditionFailedError.
    """

    def __init__(self, client: DynamoDBClient, *, name: str, clock: ServerClock) -> None:
        self._client = client
        self._name = name
        self.clock = clock
        """DynamoDB's own time, for everything that is compared with times in the table."""

    async def find(self, key: Mapping[str, str]) -> dict[str, Any] | None:
        answer = await _answer(self._client.get_item, self._request(Key=key, ConsistentRead=True))
        return from_item(answer["Item"]) if "Item" in answer else None

    async def put(
        self, item: Mapping[str, Any], *, values: Mapping[str, Any] | None = None, **expressions: str
    ) -> None:
        await _answer(self._client.put_item, self._request(Item=item, values=values, **expressions))

    async def update(self, key: Mapping[str, str], *, values: Mapping[str, Any], **expressions: str) -> dict[str, Any]:
        """Return the item as it is then."""
        request = self._request(Key=key, ReturnValues="ALL_NEW", values=values, **expressions)
        return from_item((await _answer(self._client.update_item, request))["Attributes"])

    async def delete(
        self, key: Mapping[str, str], *, values: Mapping[str, Any] | None = None, **expressions: str
    ) -> None:
        await _answer(self._client.delete_item, self._request(Key=key, values=values, **expressions))

    async def delete_all(self, *, partition: str, prefix: str, but: Mapping[str, str] | None = None) -> None:
        """Delete each item of `partition` whose sk begins with `prefix`, except `but`; not all at one moment."""
        found = self.query(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ProjectionExpression="#pk, #sk",
            values={"partition": partition, "prefix": prefix},
        )
        async for items in found:
            keys = [key for key in items if key != but]
            for start in range(0, len(keys), _DELETES_AT_ONCE):
                await asyncio.gather(*map(self.delete, keys[start : start + _DELETES_AT_ONCE]))

    def query(self, *, values: Mapping[str, Any], **parameters: Parameter) -> AsyncIterator[list[dict[str, Any]]]:
        """Yield the items, as many at a time as one answer (1 MB, or `Limit` items) held."""
        # An index follows the table after a moment, and cannot be asked to be quicker.
        consistent = "IndexName" not in parameters
        return _pages(self._client.query, self._request(ConsistentRead=consistent, values=values, **parameters))

    def scan(self, *, values: Mapping[str, Any], **parameters: Parameter) -> AsyncIterator[list[dict[str, Any]]]:
        return _pages(self._client.scan, self._request(ConsistentRead=True, values=values, **parameters))

    async def transact(self, *actions: tuple[str, Mapping[str, Any]]) -> None:
        """Do all `actions` (Put, Update or Delete, and its parameters) or none of them."""
        items: list[Any] = [{verb: self._request(**parameters)} for verb, parameters in actions]
        token = str(uuid.uuid4())

        async def attempt() -> Answer:
            nonlocal token
            try:
                return await self._client.transact_write_items(TransactItems=items, ClientRequestToken=token)
            except self._client.exceptions.TransactionCanceledException:
                # Certain: nothing was done, so the next try is another transaction. In every other case this one
                # may have been done and the answer lost; with the same token DynamoDB then does it no second time.
                token = str(uuid.uuid4())
                raise

        await _answer(attempt, {})

    async def check(self) -> None:
        try:
            await self.find({"pk": "CHECK", "sk": "CHECK"})
            index = self.query(IndexName=DUE_JOBS, KeyConditionExpression="#due = :due", Limit=1, values={"due": DUE})
            await anext(index)
        except DependencyUnavailable as unavailable:
            if _code(unavailable.__cause__) not in {"ResourceNotFoundException", "ValidationException"}:
                raise
            raise RuntimeError(
                f"There is no DynamoDB table {self._name!r} with the keys pk and sk and the index {DUE_JOBS} at "
                f"{self._client.meta.endpoint_url}. Create it: run setup_localstack.sh for a stand-in, "
                "or deploy infra/template.yaml (python infra/deploy.py) to AWS."
            ) from unavailable.__cause__

    def _request(self, *, values: Mapping[str, Any] | None = None, **parameters: Parameter) -> dict[str, Any]:
        request: dict[str, Any] = {"TableName": self._name, **parameters}
        for name in request.keys() & {"Key", "Item", "ExclusiveStartKey"}:
            request[name] = to_item(request[name])
        if values:
            request["ExpressionAttributeValues"] = {f":{name}": to_attribute(value) for name, value in values.items()}
        expressions = " ".join(str(text) for name, text in parameters.items() if name.endswith("Expression"))
        if names := {f"#{name}": name for name in re.findall(r"#(\w+)", expressions)}:
            request["ExpressionAttributeNames"] = names
        return request


async def _pages(
    operation: Callable[..., Awaitable[Answer]], request: dict[str, Any]
) -> AsyncIterator[list[dict[str, Any]]]:
    while True:
        answer = await _answer(operation, request)
        yield [from_item(item) for item in answer["Items"]]
        if "LastEvaluatedKey" not in answer:
            return
        request = {**request, "ExclusiveStartKey": answer["LastEvaluatedKey"]}


async def _answer(operation: Callable[..., Awaitable[Answer]], request: Mapping[str, Any]) -> Answer:
    try:
        async with asyncio.timeout(_BUDGET_SECONDS):
            answer = await _persist(operation, request)
    except ClientError as error:
        if failed := _failed_conditions(error):
            raise ConditionFailedError(failed) from error
        raise DependencyUnavailable("table") from error
    except (BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
        raise DependencyUnavailable("table") from error
    # botocore reads anything that comes with status 200, a proxy's page too, as an answer without an item.
    # Those of DynamoDB have an id.
    if "RequestId" not in answer["ResponseMetadata"]:
        raise DependencyUnavailable("table")
    return answer


async def _persist(operation: Callable[..., Awaitable[Answer]], request: Mapping[str, Any]) -> Answer:
    longest = _FIRST_PAUSE_SECONDS
    while True:
        try:
            return await operation(**request)
        except ClientError as error:
            if not _is_passing(error):
                raise
        await asyncio.sleep(random.uniform(0, longest))  # noqa: S311  no secret: it parts those who met
        longest = min(_LONGEST_PAUSE_SECONDS, 2 * longest)


def _is_passing(error: ClientError) -> bool:
    return _code(error) in _PASSING_ERRORS or any(reason in _PASSING_REASONS for reason in _reasons(error))


def _failed_conditions(error: ClientError) -> tuple[bool, ...]:
    if _code(error) == "ConditionalCheckFailedException":
        return (True,)
    failed = tuple(reason == "ConditionalCheckFailed" for reason in _reasons(error))
    return failed if any(failed) else ()


def _code(error: BaseException | None) -> str | None:
    return error.response.get("Error", {}).get("Code") if isinstance(error, ClientError) else None


def _reasons(error: ClientError) -> list[str]:
    return [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", ())]


@asynccontextmanager
async def open_dynamodb(
    name: str,
    *,
    region: str | None = None,
    endpoint_url: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    session_token: str | None = None,
) -> AsyncIterator[DynamoDBTable]:
    """Open the table `name`; what is None is found in the SDK's usual places (environment, profile, role)."""
    config = AioConfig(
        connect_timeout=3,
        read_timeout=5,
        max_pool_connections=50,
        retries={"mode": "standard", "total_max_attempts": 3},
    )
    async with get_session().create_client(
        "dynamodb",
        region_name=region,
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        aws_session_token=session_token,
        config=config,
    ) as client:
        clock = ServerClock()
        client.meta.events.register("after-call.dynamodb", clock.observe_response)
        yield DynamoDBTable(client, name=name, clock=clock)
