"""The job queue in Amazon SQS."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import aiohttp
import structlog
from aiobotocore.config import AioConfig
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from app.domain.errors import DependencyUnavailable
from app.domain.jobs import JobMessage

if TYPE_CHECKING:
    from types_aiobotocore_sqs import SQSClient

_READ_SECONDS = 5
_CALL_SECONDS = 10
_MAX_WAIT_SECONDS = 20
_MAX_DELAY_SECONDS = 900
_MAX_VISIBILITY_TIMEOUT_SECONDS = 43_200
_GRACE_SECONDS = 0.5
_NO_QUEUE = {"NonExistentQueue", "QueueDoesNotExist"}
_STALE_RECEIPT = {
    "ReceiptHandleIsInvalid",
    "MessageNotInflight",
    # Returned for a receipt handle that has expired, and for a message that was hidden for more than 12 hours in total
    # (aws/aws-sdk-java#1628). In both cases the message becomes visible again by itself.
    "InvalidParameterValue",
}

_log = structlog.stdlib.get_logger(__name__)


class SqsJobQueue:
    """The template sets after how many receives a message moves to the dead-letter queue."""

    def __init__(self, client: SQSClient, *, name: str, url: str, wait_seconds: int = _MAX_WAIT_SECONDS) -> None:
        self._client = client
        self._name = name
        self._url = url
        self._wait_seconds = wait_seconds
        self._canceled: set[asyncio.Task[None]] = set()

    async def send(self, owner_id: str, job_id: str, *, delay_seconds: int = 0, traceparent: str | None = None) -> None:
        body = {"owner_id": owner_id, "job_id": job_id}
        if traceparent:
            body["traceparent"] = traceparent
        await _call(
            self._client.send_message,
            QueueUrl=self._url,
            MessageBody=json.dumps(body),
            DelaySeconds=min(delay_seconds, _MAX_DELAY_SECONDS),
        )

    async def receive(self, *, limit: int, visibility_timeout_seconds: int) -> Sequence[JobMessage]:
        receiving = asyncio.create_task(
            self._receive(limit=limit, visibility_timeout_seconds=visibility_timeout_seconds)
        )
        try:
            return await asyncio.shield(receiving)
        except asyncio.CancelledError:
            # SQS may return messages to a request whose caller was canceled. No worker can receive them until their
            # visibility timeout ends.
            returning = asyncio.create_task(self._return_messages(receiving))
            self._canceled.add(returning)
            returning.add_done_callback(self._canceled.discard)
            raise

    async def finish(self) -> None:
        """Return the messages that canceled receive requests deliver within `_GRACE_SECONDS` to the queue."""
        if self._canceled:
            _, pending = await asyncio.wait(self._canceled, timeout=_GRACE_SECONDS)
            for task in pending:
                task.cancel()
            await asyncio.gather(*pending, return_exceptions=True)

    async def _return_messages(self, receiving: asyncio.Task[Sequence[JobMessage]]) -> None:
        try:
            for message in await receiving:
                await self.change_visibility(message, timeout_seconds=0)
        except DependencyUnavailable as error:
            _log.warning("queue.messages_left_hidden", cause=repr(error.__cause__))

    async def _receive(self, *, limit: int, visibility_timeout_seconds: int) -> Sequence[JobMessage]:
        response = await _call(
            self._client.receive_message,
            wait_seconds=self._wait_seconds,
            QueueUrl=self._url,
            MaxNumberOfMessages=limit,
            VisibilityTimeout=min(visibility_timeout_seconds, _MAX_VISIBILITY_TIMEOUT_SECONDS),
            WaitTimeSeconds=self._wait_seconds,
        )
        messages = map(_parse_message, response.get("Messages", ()))
        return [message for message in messages if message]

    async def change_visibility(self, message: JobMessage, *, timeout_seconds: int) -> None:
        await self._with_receipt(
            self._client.change_message_visibility,
            message,
            VisibilityTimeout=min(timeout_seconds, _MAX_VISIBILITY_TIMEOUT_SECONDS),
        )

    async def acknowledge(self, message: JobMessage) -> None:
        await self._with_receipt(self._client.delete_message, message)

    async def depth(self) -> int:
        attributes = await self._attributes()
        return int(attributes["ApproximateNumberOfMessages"])

    async def check(self) -> None:
        try:
            await self._attributes()
        except DependencyUnavailable as unavailable:
            if _code(unavailable.__cause__) in _NO_QUEUE:
                raise _missing(self._name, self._client) from unavailable.__cause__
            raise

    async def _attributes(self) -> dict[str, str]:
        response = await _call(
            self._client.get_queue_attributes,
            QueueUrl=self._url,
            AttributeNames=["ApproximateNumberOfMessages"],
        )
        attributes: dict[str, str] = response["Attributes"]
        return attributes

    async def _with_receipt(
        self, operation: Callable[..., Awaitable[Any]], message: JobMessage, **parameters: int
    ) -> None:
        try:
            await _call(operation, QueueUrl=self._url, ReceiptHandle=message.receipt, **parameters)
        except DependencyUnavailable as unavailable:
            if _code(unavailable.__cause__) not in _STALE_RECEIPT:
                raise


def make_config(*, wait_seconds: int = _MAX_WAIT_SECONDS) -> AioConfig:
    return AioConfig(
        connect_timeout=3,
        # SQS responds to a receive request when a message is available or the wait time has passed.
        read_timeout=wait_seconds + _READ_SECONDS,
        max_pool_connections=50,
        retries={"mode": "standard", "total_max_attempts": 3},
        ignore_configured_endpoint_urls=True,
    )


@asynccontextmanager
async def open_sqs(
    client: SQSClient, queue_name: str, *, wait_seconds: int = _MAX_WAIT_SECONDS
) -> AsyncIterator[SqsJobQueue]:
    """Open the queue of that name. Raises RuntimeError if it does not exist."""
    try:
        response = await _call(client.get_queue_url, QueueName=queue_name)
    except DependencyUnavailable as unavailable:
        if _code(unavailable.__cause__) in _NO_QUEUE:
            raise _missing(queue_name, client) from unavailable.__cause__
        raise
    queue = SqsJobQueue(client, name=queue_name, url=response["QueueUrl"], wait_seconds=wait_seconds)
    try:
        yield queue
    finally:
        await queue.finish()


async def _call(operation: Callable[..., Awaitable[Any]], *, wait_seconds: int = 0, **parameters: Any) -> Any:  # noqa: ANN401 - the type in the SDK
    try:
        async with asyncio.timeout(wait_seconds + _CALL_SECONDS):
            response = await operation(**parameters)
    except (ClientError, BotoCoreError, ResponseParserError, aiohttp.ClientError, OSError) as error:
        raise DependencyUnavailable("queue") from error
    # botocore accepts any response with status 200, even a page of a proxy. Responses of SQS have a request id.
    if "RequestId" not in response["ResponseMetadata"]:
        raise DependencyUnavailable("queue")
    return response


def _parse_message(received: Any) -> JobMessage | None:  # noqa: ANN401 - the type in the SDK
    try:
        body = json.loads(received["Body"])
    except ValueError:
        body = None
    match body:
        case {"owner_id": str(owner_id), "job_id": str(job_id)}:
            return JobMessage(owner_id, job_id, receipt=received["ReceiptHandle"], traceparent=body.get("traceparent"))
    # The message is never acknowledged, so that it moves to the dead-letter queue, where it can be examined.
    _log.error("job.message_unreadable", message_id=received["MessageId"])
    return None


def _code(error: BaseException | None) -> str:
    code: str = error.response.get("Error", {}).get("Code", "") if isinstance(error, ClientError) else ""
    # Some codes have a prefix, for example AWS.SimpleQueueService.NonExistentQueue.
    return code.rpartition(".")[2]


def _missing(name: str, client: SQSClient) -> RuntimeError:
    return RuntimeError(
        f"The SQS queue {name!r} does not exist at {client.meta.endpoint_url}. Create it: run setup_localstack.sh for "
        "an emulator, or deploy infra/template.yaml (python infra/deploy.py) to AWS."
    )
