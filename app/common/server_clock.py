"""The time by a server's clock, taken from the `Date` headers of its responses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_TOLERANCE = timedelta(seconds=2)
"""`Date` is in whole seconds, so two correct responses can differ by one second."""


class ServerClock:
    """A callable that returns the server's time.

    Machines compare leases and ages with each other, so one clock has to decide: that of the server that stores the
    records. Before the first response, this machine's clock is used. Between responses, the monotonic clock measures
    the time that has passed, so that adjustments of this machine's clock have no effect.
    """

    def __init__(self) -> None:
        self._offset: timedelta | None = None
        """From the monotonic clock to the server's clock."""
        self._wall_offset = timedelta()
        """From the monotonic clock to this machine's clock, when `_offset` was determined."""

    def __call__(self) -> datetime:
        elapsed, wall = _monotonic(), datetime.now(UTC)
        if self._offset is None:
            return wall
        # If this machine's clock moved against the monotonic clock, it was set, or the machine was suspended. The next
        # response will show which.
        if abs(self._wall_offset - (_since_epoch(wall) - elapsed)) > _TOLERANCE:
            return wall
        return _EPOCH + elapsed + self._offset

    @property
    def is_known(self) -> bool:
        """Whether a response has told the server's time."""
        return self._offset is not None

    def observe(self, date: str) -> None:
        """Use the `Date` header of a response that has just arrived. An invalid header is ignored."""
        try:
            server = parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            return
        elapsed = _monotonic()
        offset = _since_epoch(server) - elapsed
        # The header is up to one second older than its arrival, so the latest of several consistent headers is best.
        if self._offset is None or abs(offset - self._offset) > _TOLERANCE or offset > self._offset:
            self._offset = offset
        self._wall_offset = _since_epoch(datetime.now(UTC)) - elapsed

    def observe_response(self, *, http_response: Any, **_event: object) -> None:  # noqa: ANN401 - botocore's type
        """Handle botocore's `after-call` event."""
        headers: Mapping[str, str] = http_response.headers
        if date := headers.get("date"):
            self.observe(date)


def _monotonic() -> timedelta:
    return timedelta(seconds=time.monotonic())


def _since_epoch(moment: datetime) -> timedelta:
    return moment - _EPOCH
