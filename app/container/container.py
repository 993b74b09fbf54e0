"""Opens everything that the settings select, in the order of dependency, and closes it in reverse order."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import structlog

from app.api.services import Services
from app.common.rate_limit import RateLimiter
from app.common.signing import derive_key
from app.common.temp_files import TempFiles
from app.consistency.store_identity import check_store_matches_table
from app.container import accounts, backends
from app.container.adapters import Adapters
from app.container.catalog import open_catalog
from app.container.data_dir import DataDir, SiblingServes
from app.container.renderers import open_inspector, open_renderer
from app.container.use_cases import Container, build
from app.container.webhook_sender import open_webhook_sender
from app.domain.errors import AppError
from app.observability.metrics import MeasuredRenderer, PrometheusMetrics
from app.ports.scanner import Scanner
from app.settings import Settings, reveal

_NOT_STARTED = 3
"""The exit status of a failed start, as in uvicorn."""

_EXPECTED_ERRORS = (AppError, OSError, RuntimeError, ValueError)
"""Errors whose message suffices to fix what prevents the start. They are logged without a traceback."""

_log = structlog.stdlib.get_logger(__name__)


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Open the services of an API process. With a local queue, this process also runs the jobs."""
    async with open_container(settings) as container:
        if settings.queue == "local":
            async with container.worker.running():
                yield container.services
        else:
            yield container.services


@asynccontextmanager
async def open_container(settings: Settings, *, serves: bool = True) -> AsyncIterator[Container]:
    """Open everything and verify that it is usable.

    With `serves`, this process becomes the only one that serves from DATA_DIR; a command that runs beside the service
    passes False. Raises SystemExit, after logging the reason, if something is missing or misconfigured.
    """
    async with AsyncExitStack() as stack:
        try:
            container = await stack.enter_async_context(_open(settings, serves=serves))
        except SiblingServes as refused:
            # The parent would start a worker that exits again and again, so this one waits until it is stopped.
            _log.critical("service.worker_refused", reason=str(refused))
            await _until_stopped()
            raise SystemExit(_NOT_STARTED) from refused
        except Exception as error:
            cause = str(error.__cause__) if error.__cause__ else None
            is_unexpected = not isinstance(error, _EXPECTED_ERRORS)
            _log.critical("service.not_started", reason=str(error), cause=cause, exc_info=is_unexpected)
            raise SystemExit(_NOT_STARTED) from error
        yield container


async def _until_stopped() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


@asynccontextmanager
async def _open(settings: Settings, *, serves: bool) -> AsyncIterator[Container]:
    data_dir = DataDir(settings.data_dir)
    secret = reveal(settings.secret_key) or data_dir.secret()
    async with AsyncExitStack() as stack:
        if serves and settings.uses_data_dir:
            stack.enter_context(data_dir.serving())
        if settings.otel_exporter_otlp_endpoint:
            from app.container import tracing

            await stack.enter_async_context(tracing.open_exporter(settings.otel_exporter_otlp_endpoint))
        storage = await stack.enter_async_context(
            backends.open_s3_storage(settings)
            if settings.storage == "s3"
            else backends.open_disk_storage(settings, data_dir, secret=secret)
        )
        tables = await stack.enter_async_context(
            backends.open_dynamodb_tables(settings)
            if settings.tables == "dynamodb"
            else backends.open_sqlite_tables(data_dir, is_only_process=serves)
        )
        await storage.store.check()
        await tables.images.check()
        await check_store_matches_table(storage.store, tables.store_id, tables.images)
        if settings.otel_exporter_otlp_endpoint:
            storage, tables = tracing.trace_storage(storage), tracing.trace_tables(tables)
        metrics = PrometheusMetrics()
        limiter = RateLimiter(tables.counters, key=derive_key(secret, "attempts"), clock=tables.clock)
        adapters = Adapters(
            storage=storage,
            tables=tables,
            queue=await stack.enter_async_context(
                backends.open_sqs_queue(settings) if settings.queue == "sqs" else backends.open_local_queue()
            ),
            auth=await stack.enter_async_context(
                accounts.open_firebase_accounts(settings)
                if settings.auth == "firebase"
                else accounts.open_local_accounts(settings, tables, limiter=limiter, secret=secret)
            ),
            catalog=await stack.enter_async_context(open_catalog(settings, limiter)),
            webhook_sender=await stack.enter_async_context(open_webhook_sender(settings)),
            scanner=await _open_scanner(settings, stack),
            renderer=MeasuredRenderer(await stack.enter_async_context(open_renderer(settings)), metrics),
            inspector=await stack.enter_async_context(open_inspector(settings)),
            metrics=metrics,
            limiter=limiter,
            temp_files=TempFiles(data_dir.spool),
        )
        if settings.otel_exporter_otlp_endpoint:
            adapters = tracing.trace_work(adapters)
        yield build(settings, adapters, secret=secret)


async def _open_scanner(settings: Settings, stack: AsyncExitStack) -> Scanner | None:
    if settings.scan_url is None:
        return None
    from app.scanner.http import open_scanner

    return await stack.enter_async_context(open_scanner(settings.scan_url))
