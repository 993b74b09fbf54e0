"""Images in the order of the time at which they were taken. See `Image.sorting_time`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.images import Image

_TIME = re.compile(r"\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?)?", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Period:
    """A range of sorting times. None means that it has no limit on that side."""

    start: str | None = None
    """Inclusive."""
    end: str | None = None
    """Exclusive."""

    @property
    def is_empty(self) -> bool:
        return self.start is not None and self.end is not None and self.start >= self.end

    def contains(self, time: str) -> bool:
        return (self.start is None or self.start <= time) and (self.end is None or time < self.end)


@dataclass(frozen=True, slots=True)
class Position:
    """Where an image is in the timeline: images with the same time are ordered by id."""

    time: str
    image_id: str


@dataclass(frozen=True, slots=True)
class TimelinePage:
    images: Sequence[Image]
    last: Position | None
    """The position to continue after, or None if there are no more images."""


@dataclass(frozen=True, slots=True)
class MonthCount:
    month: str
    """As in `2024-05`."""
    images: int


def month_of(time: str) -> str:
    """Return the month of a sorting time, as in `2024-05`."""
    return time[:7]


def parse_time(text: str) -> str:
    """Return a date or a time without an offset in the spelling of sorting times. A date is its first millisecond.

    Raises ValueError.
    """
    if not _TIME.fullmatch(text):
        raise ValueError("not a date or a time without an offset")
    return datetime.fromisoformat(text).isoformat(timespec="milliseconds")
