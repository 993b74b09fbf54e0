"""Traces of OpenTelemetry. This module is imported only if OTEL_EXPORTER_OTLP_ENDPOINT is set.

Spans contain the names of operations, the ids of jobs and the types of errors. They contain no arguments and no error
messages, because these may be email addresses, filenames, signed URLs or secrets.
"""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Protocol, TypeVar, cast

from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import OTELResourceDetector, Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from app.domain.jobs import JobMessage
from app.ports.queue import JobQueue

_SERVICE_NAME = "image-upload-service"

Adapter = TypeVar("Adapter")

_tracer = trace.get_tracer("app")
_trace_context = TraceContextTextMapPropagator()


@asynccontextmanager
async def open_exporter(endpoint: str) -> AsyncIterator[None]:
    """Send spans in batches to the OTLP receiver at `endpoint`, over HTTP. The last ones are sent at the end.

    The SDK reads its other settings, such as OTEL_SERVICE_NAME and OTEL_TRACES_SAMPLER, from the environment.
    """
    resource = Resource.create({"service.name": _SERVICE_NAME}).merge(OTELResourceDetector().detect())
    provider = TracerProvider(resource=resource)
    exporter = OTLPSpanExporter(endpoint=f"{endpoint.rstrip('/')}/v1/traces")
    provider.add_span_processor(BatchSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    try:
        yield
    finally:
        await asyncio.to_thread(provider.shutdown)


def traced(adapter: Adapter, name: str) -> Adapter:
    """Return an adapter whose coroutine methods are spans of the request or job that calls them."""
    return cast("Adapter", _Traced(adapter, name))


class _Traced:
    def __init__(self, adapter: object, name: str) -> None:
        self._adapter = adapter
        self._name = name

    def __getattr__(self, attribute: str) -> Any:  # noqa: ANN401 - the type in the adapter
        member = getattr(self._adapter, attribute)
        if inspect.iscoroutinefunction(member):
            member = _traced_method(member, f"{self._name}.{attribute}")
        setattr(self, attribute, member)
        return member


def _traced_method(method: Callable[..., Awaitable[Any]], name: str) -> Callable[..., Awaitable[Any]]:
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the types in the adapter
        # The periodic work of a worker is not traced: most of it finds nothing to do.
        if not trace.get_current_span().get_span_context().is_valid:
            return await method(*args, **kwargs)
        with _span(name):
            return await method(*args, **kwargs)

    return call


def traced_queue(queue: JobQueue) -> JobQueue:
    """Return a queue that sends the trace context with each message: a job then belongs to the trace of its sender."""
    return cast("JobQueue", _TracedQueue(queue))


class _TracedQueue(_Traced):
    def __init__(self, queue: JobQueue) -> None:
        super().__init__(queue, "queue")
        self._queue = queue

    async def send(self, owner_id: str, job_id: str, *, delay_seconds: int = 0, traceparent: str | None = None) -> None:
        with _span("queue.send", kind=SpanKind.PRODUCER, attributes={"job.id": job_id}):
            carrier: dict[str, str] = {}
            _trace_context.inject(carrier)
            traceparent = traceparent or carrier.get("traceparent")
            await self._queue.send(owner_id, job_id, delay_seconds=delay_seconds, traceparent=traceparent)


class _Runner(Protocol):
    async def process(self, message: JobMessage) -> None: ...


class TracedRunner:
    def __init__(self, runner: _Runner) -> None:
        self._runner = runner

    async def process(self, message: JobMessage) -> None:
        carrier = {"traceparent": message.traceparent} if message.traceparent else {}
        sender = _trace_context.extract(carrier, context=Context())
        with _span("job.process", kind=SpanKind.CONSUMER, context=sender, attributes={"job.id": message.job_id}):
            await self._runner.process(message)


@contextmanager
def _span(
    name: str,
    *,
    kind: SpanKind = SpanKind.INTERNAL,
    context: Context | None = None,
    attributes: Mapping[str, str] | None = None,
) -> Iterator[None]:
    with _tracer.start_as_current_span(
        name,
        context=context,
        kind=kind,
        attributes=attributes,
        record_exception=False,
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except Exception as error:
            span.set_attribute("error.type", type(error).__qualname__)
            span.set_status(StatusCode.ERROR)
            raise
