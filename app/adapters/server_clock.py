"""The time by the clock of a server, read from the `Date` headers of its responses."""

from __future__ import annotations

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

_TOLERANCE = timedelta(seconds=2)
"""`Date` is in whole seconds, so what two responses say can differ by one although no clock is wrong."""


class ServerClock:
    """Callable that returns the server's time.

    Leases and ages are compared between machines, so one clock has to decide: the one of the server that keeps the
    records. This machine's clock is used until the first response only. Between responses the time is counted by the
    monotonic clock, which no adjustment of this machine's clock moves.
    """

    def __init__(self) -> None:
        self._offset: timedelta | None = None
        """From the monotonic clock to the server's."""
        self._wall_offset = timedelta()
        """From the monotonic clock to this machine's, when `_offset` was found."""

    def __call__(self) -> datetime:
        counted, wall = _monotonic(), datetime.now(UTC)
        if self._offset is None:
            return wall
        # The machine was suspended, or its clock was set: the next response tells which.
        if abs(self._wall_offset - (_since_epoch(wall) - counted)) > _TOLERANCE:
            return wall
        return _EPOCH + counted + self._offset

    def observe(self, date: str) -> None:
        """Take the `Date` header of a response that has just arrived; one that cannot be read is ignored."""
        try:
            server = parsedate_to_datetime(date).astimezone(UTC)
        except ValueError:
            return
        counted = _monotonic()
        offset = _since_epoch(server) - counted
        # A header is up to a second older than the moment it arrives: of those that agree the latest is the best.
        if self._offset is None or abs(offset - self._offset) > _TOLERANCE or offset > self._offset:
            self._offset = offset
        self._wall_offset = _since_epoch(datetime.now(UTC)) - counted

    def observe_response(self, *, http_response: Any, **_event: object) -> None:  # noqa: ANN401 - as botocore has it
        """Handle botocore's `after-call` event."""
        headers: Mapping[str, str] = http_response.headers
        if date := headers.get("date"):
            self.observe(date)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _monotonic() -> timedelta:
    return timedelta(seconds=time.monotonic())


def _since_epoch(moment: datetime) -> timedelta:
    return moment - _EPOCH
