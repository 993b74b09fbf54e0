"""Cursors of a list: opaque to clients, good for the user who got them alone."""

from __future__ import annotations

from app.core import signing
from app.core.errors import CursorInvalid
from app.core.models import User


class Cursors:
    def __init__(self, key: bytes) -> None:
        self._key = key

    def make(self, user: User, last_id: str) -> str:
        return signing.seal(self._key, f"{last_id}/{user.id}".encode())

    def open(self, user: User, cursor: str | None) -> str | None:
        """Return the id after which the page begins; no cursor is the first page. Raises CursorInvalid."""
        if not cursor:
            return None
        last_id, _, owner_id = (signing.unseal(self._key, cursor) or b"").decode().partition("/")
        if owner_id != user.id or not last_id:
            raise CursorInvalid
        return last_id
