"""Metrics for Prometheus. With PROMETHEUS_MULTIPROC_DIR, they include all processes that share that folder."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import BinaryIO

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
    start_http_server,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from app.domain.errors import AppError
from app.domain.renderings import Output, Rendering
from app.ports.metrics import Metrics
from app.ports.renderer import Renderer

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""The library reads it when it is imported, and then stores its counters in files of that folder."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_GAUGES = {
    "job_queue_depth": "Messages that are waiting for a worker.",
    "job_queue_age_seconds": "How long the oldest due job has been waiting.",
}
_RENDER_SECONDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)


class PrometheusMetrics:
    def __init__(self) -> None:
        self._registry = CollectorRegistry()
        if _MULTIPROCESS in os.environ:
            MultiProcessCollector(self._registry)  # type: ignore[no-untyped-call]
        else:
            ProcessCollector(registry=self._registry)
            PlatformCollector(registry=self._registry)
        # MultiProcessCollector reads the counters from the files, so they must not be registered a second time.
        registry = None if _MULTIPROCESS in os.environ else self._registry
        self._requests = Counter(
            "http_requests", "Completed requests.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "http_request_seconds",
            "Time until the response was sent.",
            ["route"],
            buckets=_REQUEST_SECONDS,
            registry=registry,
        )
        self._images = Counter("images", "Images stored.", registry=registry)
        self._image_bytes = Counter("image_bytes", "Bytes of stored originals.", registry=registry)
        self._render_seconds = Histogram(
            "render_seconds",
            "Rendering times, including the wait for a render process.",
            ["outcome"],
            buckets=_RENDER_SECONDS,
            registry=registry,
        )
        self._jobs = Counter("jobs", "Attempts of background jobs.", ["kind", "outcome"], registry=registry)
        self._dependency_errors = Counter(
            "dependency_errors", "Failed calls to dependencies, after retries.", ["dependency"], registry=registry
        )

        self._deletions_withheld = Gauge(
            "reconcile_deletions_withheld",
            "Unreferenced originals that the latest reconcile run did not delete because they were too many.",
            registry=registry,
            multiprocess_mode="mostrecent",
        )

    def count_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        self._requests.labels(method if method in _METHODS else "other", route, str(status)).inc()
        self._request_seconds.labels(route).observe(seconds)

    def count_image(self, size: int) -> None:
        self._images.inc()
        self._image_bytes.inc(size)

    def count_rendering(self, outcome: str, seconds: float) -> None:
        self._render_seconds.labels(outcome).observe(seconds)

    def count_job(self, kind: str, outcome: str) -> None:
        self._jobs.labels(kind, outcome).inc()

    def count_dependency_error(self, dependency: str) -> None:
        self._dependency_errors.labels(dependency).inc()

    def set_deletions_withheld(self, originals: int) -> None:
        self._deletions_withheld.set(originals)

    def exposition(self, *, queue_depth: int | None, queue_age_seconds: float | None) -> bytes:
        queue = CollectorRegistry()
        queue.register(_Gauges({"job_queue_depth": queue_depth, "job_queue_age_seconds": queue_age_seconds}))
        return generate_latest(self._registry) + generate_latest(queue)

    @contextmanager
    def served(self, *, host: str, port: int) -> Iterator[None]:
        """Serve the metrics over HTTP, for a process that serves nothing else. With port 0, do nothing."""
        if not port:
            yield
            return
        server, thread = start_http_server(port, addr=host, registry=self._registry)
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()
            thread.join()


class _Gauges(Collector):
    """Values that are determined when the metrics are requested, and not stored in files."""

    def __init__(self, values: Mapping[str, float | None]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        for name, value in self._values.items():
            if value is not None:
                yield GaugeMetricFamily(name, _GAUGES[name], value=value)


class MeasuredRenderer:
    """A Renderer that measures the time of another one."""

    def __init__(self, renderer: Renderer, metrics: Metrics) -> None:
        self._renderer = renderer
        self._metrics = metrics

    async def render(self, file: BinaryIO, *, owner_id: str = "", output: Output | None = None) -> Rendering:
        started = time.perf_counter()
        outcome = "cancelled"
        try:
            rendering = await self._renderer.render(file, owner_id=owner_id, output=output)
            outcome = "rendered"
        except AppError as error:
            outcome = error.code
            raise
        finally:
            self._metrics.count_rendering(outcome, time.perf_counter() - started)
        return rendering
