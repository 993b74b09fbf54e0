"""The handlers of AWS Lambda: `handle_request` is the function of the API, `handle_event` that of the worker.

An execution environment opens its services at its first invocation and keeps them, together with one event loop, for
all later ones. Lambda may freeze it between invocations and ends it without notice.
"""

from __future__ import annotations

import asyncio
import functools
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from http import HTTPStatus
from typing import Any

import structlog
from mangum import Mangum
from mangum.types import ASGI, LambdaContext, Receive, Scope, Send
from pydantic import ByteSize

from app.api.app import create_app
from app.api.hosts import PublicUrlMiddleware
from app.container.container import open_container, open_services
from app.container.use_cases import Container
from app.container.workers import build_runner
from app.domain.errors import AppError
from app.domain.jobs import JobMessage
from app.domain.object_keys import parse_incoming_key
from app.ports.queue import JobQueue
from app.settings import Settings
from app.startup import configure

MAX_FORM_FILE_BYTES = 4 * 1024 * 1024
"""Lambda accepts requests of at most 6 MB, in which a binary body is encoded in Base64, and which contain headers."""
_MARGIN_SECONDS = 15
"""How long before the end of an invocation its work is stopped, so that there is time to save what it did."""
_RETRY_SECONDS = 30
_SENDING_SECONDS = 10
"""How long a mail server may take to accept a message."""

_opened = AsyncExitStack()
"""Keeps what the environment has opened. It is never closed: Lambda ends an environment without notice."""

_log = structlog.stdlib.get_logger(__name__)


def handle_request(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle an HTTP request to the function URL, or to an HTTP API in front of the function."""
    response = _api()(event, context)
    if event["rawPath"].endswith("/auth/password-reset") and response["statusCode"] == HTTPStatus.ACCEPTED:
        # The service sends the link after its response, when Lambda may freeze the environment. The delay is always the
        # same, so that it does not show whether the account exists.
        _event_loop().run_until_complete(asyncio.sleep(_SENDING_SECONDS))
    return response


def handle_event(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Handle messages of the job queue, or do the periodic work that a schedule names.

    The result names the messages that Lambda must not delete. Raises ValueError for an event of another kind.
    """
    container = _worker()
    seconds = context.get_remaining_time_in_millis() / 1000 - _MARGIN_SECONDS
    return _event_loop().run_until_complete(_handle_event(container, event, seconds=seconds))


@functools.cache
def _event_loop() -> asyncio.AbstractEventLoop:
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    return loop


@functools.cache
def _api() -> Mangum:
    settings = limited_by_lambda(configure())
    services = functools.partial(open_services, settings)
    app = create_app(settings, services, can_stream=False, max_request_size=MAX_FORM_FILE_BYTES)
    _event_loop().run_until_complete(_opened.enter_async_context(app.router.lifespan_context(app)))
    return Mangum(_entry(app, public_url=settings.public_url), lifespan="off")


@functools.cache
def _worker() -> Container:
    return _event_loop().run_until_complete(_opened.enter_async_context(open_container(configure())))


def limited_by_lambda(settings: Settings) -> Settings:
    """Return the settings with the largest file that a form upload can have on Lambda."""
    max_file_size = min(settings.max_file_size, MAX_FORM_FILE_BYTES)
    return settings.model_copy(update={"max_file_size": ByteSize(max_file_size)})


def _entry(app: ASGI, *, public_url: str | None) -> ASGI:
    """Return the application as clients of the function may see it.

    Without PUBLIC_URL, URLs in responses begin with the domain of the function URL. The settings of the function cannot
    contain it, but each event does.
    """

    async def entry(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"].endswith("/metrics"):
            # Each environment would show its own metrics, and no proxy hides them from clients.
            scope["path"] = "/no-metrics"
        url = public_url or f"https://{scope['aws.event']['requestContext']['domainName']}"
        await PublicUrlMiddleware(app, public_url=url)(scope, receive, send)

    return entry


async def _handle_event(container: Container, event: dict[str, Any], *, seconds: float) -> dict[str, Any]:
    match event:
        case {"Records": [*records]}:
            must_end_at = asyncio.get_running_loop().time() + seconds
            handled = await asyncio.gather(*(_handle_message(container, each, must_end_at) for each in records))
            left = [record["messageId"] for record, is_handled in zip(records, handled, strict=True) if not is_handled]
            return {"batchItemFailures": [{"itemIdentifier": message_id} for message_id in left]}
        case {"task": "sweep" | "reconcile" as task}:
            await _do_periodic_work(container, task, seconds=seconds)
            return {}
    raise ValueError(f"The worker handles messages of its queue and the tasks sweep and reconcile, not {event!r}.")


async def _do_periodic_work(container: Container, task: str, *, seconds: float) -> None:
    maintenance = container.maintenance
    reconcile = functools.partial(maintenance.reconcile_daily, deadline=time.monotonic() + seconds - _MARGIN_SECONDS)
    steps: dict[str, Sequence[Callable[[], Awaitable[object]]]] = {
        "sweep": (
            maintenance.requeue_stale_jobs,
            maintenance.finish_deletions,
            maintenance.expire_uploads,
            maintenance.dispatch_events,
        ),
        "reconcile": (reconcile,),
    }
    try:
        async with asyncio.timeout(seconds):
            for step in steps[task]:
                try:
                    await step()
                except AppError as error:
                    _log.warning("maintenance.failed", cause=error.code, detail=error.detail)
    except TimeoutError:
        _log.warning("maintenance.time_exceeded", task=task)


async def _handle_message(container: Container, record: dict[str, Any], must_end_at: float) -> bool:
    """Return whether the message may be deleted."""
    delivery = _Delivery(container.adapters.queue)
    try:
        match json.loads(record["body"]):
            case {"owner_id": str(owner_id), "job_id": str(job_id)}:
                message = JobMessage(owner_id, job_id, receipt=record["receiptHandle"])
                runner = build_runner(
                    container.adapters, container.services.job_registry, container.events, queue=delivery
                )
                await runner.process(message, must_end_at=must_end_at)
            case {"source": "aws.s3", "detail": {"object": {"key": str(key)}}}:
                await _complete_upload(container, key, delivery, receipt=record["receiptHandle"], until=must_end_at)
            case _:
                _log.error("job.message_unreadable", message_id=record["messageId"])
    except AppError as error:
        # Nothing is lost: the message is delivered again, and the record holds the job's progress.
        _log.warning("worker.dependency_failed", cause=error.code, detail=error.detail)
    except Exception:  # noqa: BLE001 - the other messages of the batch must be handled
        _log.exception("job.crashed", message_id=record["messageId"])
    return delivery.is_acknowledged


async def _complete_upload(container: Container, key: str, queue: JobQueue, *, receipt: str, until: float) -> None:
    """Complete the direct upload whose file arrived under the key. If that fails for now, it is tried again soon."""
    owner_id, upload_id = parse_incoming_key(key) or ("", "")
    message = JobMessage(owner_id, upload_id, receipt=receipt)
    try:
        async with asyncio.timeout_at(until):
            image = await container.services.direct_uploads.complete_arrived(key)
    except (AppError, TimeoutError):
        await queue.change_visibility(message, timeout_seconds=_RETRY_SECONDS)
        raise
    if image:
        actor = f"user:{owner_id}"
        await container.services.audit.record("image.uploaded", actor=actor, owner_id=owner_id, target=image.id)
    await queue.acknowledge(message)


class _Delivery:
    """The queue as one delivered message uses it. It remembers whether the message was acknowledged."""

    def __init__(self, queue: JobQueue) -> None:
        self.is_acknowledged = False
        self._queue = queue
        self.send = queue.send
        self.receive = queue.receive
        self.change_visibility = queue.change_visibility
        self.depth = queue.depth
        self.check = queue.check

    async def acknowledge(self, message: JobMessage) -> None:
        # Lambda itself deletes the message when the whole batch has ended. The visibility timeout of the message, which
        # was shortened while its job was running, may end earlier.
        await self._queue.acknowledge(message)
        self.is_acknowledged = True
