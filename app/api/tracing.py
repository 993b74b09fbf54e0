"""Makes each request a span of OpenTelemetry. Added to the application only if traces are exported."""

from __future__ import annotations

from opentelemetry import trace
from opentelemetry.trace import Span, SpanKind, StatusCode
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.hosts import HEALTH_PATHS

_SERVER_ERRORS = 500
"""Statuses from this one on."""

_tracer = trace.get_tracer("app")
_trace_context = TraceContextTextMapPropagator()


class TracingMiddleware:
    """Continues the trace of the client if the request has a `traceparent`. Health checks are not traced."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["path"].startswith(HEALTH_PATHS):
            await self._app(scope, receive, send)
            return
        client = _trace_context.extract(dict(Headers(scope=scope)))
        with _tracer.start_as_current_span(
            scope["method"],
            context=client,
            kind=SpanKind.SERVER,
            attributes={"http.request.method": scope["method"]},
            record_exception=False,
            set_status_on_exception=False,
        ) as span:

            async def traced_send(message: Message) -> None:
                if message["type"] == "http.response.start":
                    _set_status(span, message["status"])
                await send(message)

            try:
                await self._app(scope, receive, traced_send)
            finally:
                _describe(span, scope)


def _set_status(span: Span, status: int) -> None:
    span.set_attribute("http.response.status_code", status)
    if status >= _SERVER_ERRORS:
        span.set_status(StatusCode.ERROR)


def _describe(span: Span, scope: Scope) -> None:
    """Name the span after its route. The path itself is not exported: it may be part of a signed URL."""
    span.set_attribute("request_id", scope["state"]["request_id"])
    if route := getattr(scope.get("route"), "path", None):
        span.update_name(f"{scope['method']} {route}")
        span.set_attribute("http.route", route)
