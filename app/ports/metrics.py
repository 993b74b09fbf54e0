"""Metrics for operators."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Protocol


class Metrics(Protocol):
    """Counts events. Methods never raise."""

    def count_request(self, *, method: str, route: str, status: int, seconds: float) -> None:
        """`route` is a template such as `/images/{image_id}`, so that the number of distinct values is small."""
        ...

    def count_image(self, size: int) -> None:
        """An image of `size` bytes was stored, by whichever kind of upload."""
        ...

    def count_rendering(self, outcome: str, seconds: float) -> None:
        """`outcome` is `rendered`, `cancelled`, or the code of the error."""
        ...

    def count_job(self, kind: str, outcome: str) -> None:
        """`outcome` is `completed`, `failed` or `retrying`."""
        ...

    def count_dependency_error(self, dependency: str) -> None: ...

    def set_deletions_withheld(self, originals: int) -> None:
        """How many unreferenced originals the latest reconcile run did not delete because there were too many."""
        ...

    def exposition(self, *, queue_depth: int | None, queue_age_seconds: float | None) -> bytes:
        """Return the metrics of all processes that share their counters, in the Prometheus text format."""
        ...

    def served(self, *, host: str, port: int) -> AbstractContextManager[None]:
        """Serve the metrics over HTTP within the context, independently of the API. Port 0 disables it."""
        ...
