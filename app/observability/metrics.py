"""Metrics for Prometheus; with PROMETHEUS_MULTIPROC_DIR in the environment, of all processes that share the folder."""

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
from app.domain.renderings import Rendering
from app.ports.metrics import Metrics
from app.ports.renderer import Renderer

_MULTIPROCESS = "PROMETHEUS_MULTIPROC_DIR"
"""Read by the library too, when it is imported: from then on its counters live in files of that folder."""
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_REQUEST_SECONDS = (0.005, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)
_GAUGES = {
    "job_queue_depth": "Messages that wait for a worker.",
    "job_queue_age_seconds": "For how long the oldest job that is due has waited.",
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
        # What lives in files is read from there, so that these must not be found a second time.
        registry = None if _MULTIPROCESS in os.environ else self._registry
        self._requests = Counter(
            "http_requests", "Requests answered.", ["method", "route", "status"], registry=registry
        )
        self._request_seconds = Histogram(
            "http_request_seconds", "How long answers took.", ["route"], buckets=_REQUEST_SECONDS, registry=registry
        )
        self._images = Counter("images", "Images taken in.", registry=registry)
        self._image_bytes = Counter("image_bytes", "Bytes of the originals taken in.", registry=registry)
        self._render_seconds = Histogram(
            "render_seconds",
            "How long renderings took, the wait for a process included.",
            ["outcome"],
            buckets=_RENDER_SECONDS,
            registry=registry,
        )
        self._jobs = Counter("jobs", "Attempts at background jobs.", ["kind", "outcome"], registry=registry)
        self._dependency_errors = Counter(
            "dependency_errors", "Calls that failed, retries included.", ["dependency"], registry=registry
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
        """Serve the metrics over HTTP, for a process that has no other way to show them; on port 0 nowhere."""
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
    """What is asked of others at the moment of exposition, and kept in no file."""

    def __init__(self, values: Mapping[str, float | None]) -> None:
        self._values = values

    def collect(self) -> Iterable[Metric]:
        for name, value in self._values.items():
            if value is not None:
                yield GaugeMetricFamily(name, _GAUGES[name], value=value)


class MeasuredRenderer:
    """Renderer: another one, timed."""

    def __init__(self, renderer: Renderer, metrics: Metrics) -> None:
        self._renderer = renderer
        self._metrics = metrics

    async def render(self, file: BinaryIO) -> Rendering:
        began = time.perf_counter()
        outcome = "cancelled"
        try:
            rendering = await self._renderer.render(file)
            outcome = "rendered"
        except AppError as error:
            outcome = error.code
            raise
        finally:
            self._metrics.count_rendering(outcome, time.perf_counter() - began)
        return rendering
