"""The table of images by the time at which they were taken. Errors are those of app.ports.tables."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.images import Image
from app.domain.timeline import MonthCount, Period, Position, TimelinePage


class TimelineTable(Protocol):
    """Lists the images of an owner by `Image.sorting_time`. `ImageTable` adds and removes them.

    Images that an earlier version of the service added may be missing until `add_missing`.
    """

    async def page_by_time(self, owner_id: str, *, period: Period, before: Position | None, limit: int) -> TimelinePage:
        """Return at most `limit` images of `period`, newest first, starting after the position `before`.

        `before` must be in `period`, and `limit` at most 100. A page may be short or empty although there are more
        images, if an earlier version of the service removed some.
        """
        ...

    async def months(self, owner_id: str) -> Sequence[MonthCount]:
        """Return the months with images, newest first. The cost depends on the number of months, not of images."""
        ...

    async def add_missing(self, images: Sequence[Image]) -> int:
        """Add those of at most 100 `images` that are missing, and count them. Returns how many these were.

        Images that were removed in the meantime are ignored. Concurrent calls count each image once.
        """
        ...

    async def remove_stale(self) -> int:
        """Remove images of all owners whose records are gone, and return how many. Reads the whole table."""
        ...
