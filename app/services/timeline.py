"""The images of a user in the order in which they were taken."""

from __future__ import annotations

from collections.abc import Sequence

from app.common.pagination import Cursors
from app.domain.accounts import User
from app.domain.errors import CursorInvalid
from app.domain.timeline import MonthCount, Period, Position
from app.ports.timeline_table import TimelineTable
from app.services.library import ImagePage

_SEPARATOR = "#"


class Timeline:
    def __init__(self, *, table: TimelineTable, cursors: Cursors) -> None:
        """`cursors` must have another key than those of other lists, so that their cursors are refused."""
        self._table = table
        self._cursors = cursors

    async def page(self, user: User, *, period: Period, cursor: str | None, limit: int) -> ImagePage:
        """Return at most `limit` images of the period, newest first.

        Raises CursorInvalid, also for a cursor of another user, of another list, or outside the period.
        """
        before = self._position(user, cursor, period)
        if period.is_empty:
            return ImagePage([], None)
        page = await self._table.page_by_time(user.id, period=period, before=before, limit=limit)
        if page.last is None:
            return ImagePage(page.images, None)
        return ImagePage(page.images, self._cursors.encode(user, f"{page.last.time}{_SEPARATOR}{page.last.image_id}"))

    async def months(self, user: User) -> Sequence[MonthCount]:
        """Return the months in which the user's images were taken, newest first."""
        return await self._table.months(user.id)

    def _position(self, user: User, cursor: str | None, period: Period) -> Position | None:
        text = self._cursors.decode(user, cursor)
        if text is None:
            return None
        time, _, image_id = text.partition(_SEPARATOR)
        if not period.contains(time):
            raise CursorInvalid
        return Position(time, image_id)
