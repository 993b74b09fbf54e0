"""TimelineTable in SQLite. A generated column and triggers keep it complete: see the migrations."""

from __future__ import annotations

from collections.abc import Sequence

from app.domain.images import Image
from app.domain.timeline import MonthCount, Period, Position, TimelinePage
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import from_row

_AFTER_EVERY_TIME = "\U0010ffff"

_PAGE = """
    SELECT * FROM images WHERE owner_id = ? AND sorting_time >= ? AND (sorting_time, id) < (?, ?)
    ORDER BY sorting_time DESC, id DESC LIMIT ?
"""
_MONTHS = "SELECT month, images FROM months WHERE owner_id = ? ORDER BY month DESC"


class SqliteTimelineTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def page_by_time(self, owner_id: str, *, period: Period, before: Position | None, limit: int) -> TimelinePage:
        end = (before.time, before.image_id) if before else (period.end or _AFTER_EVERY_TIME, "")
        rows = await self._database.read(_PAGE, owner_id, period.start or "", *end, limit + 1)
        images = [from_row(Image, row) for row in rows[:limit]]
        last = Position(images[-1].sorting_time, images[-1].id) if len(rows) > limit else None
        return TimelinePage(images, last)

    async def months(self, owner_id: str) -> Sequence[MonthCount]:
        return [MonthCount(row["month"], row["images"]) for row in await self._database.read(_MONTHS, owner_id)]

    async def add_missing(self, images: Sequence[Image]) -> int:  # noqa: ARG002 - none is ever missing
        return 0

    async def remove_stale(self) -> int:
        return 0
