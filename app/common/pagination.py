"""Cursors of lists: opaque to clients, and valid only for the user who received them."""

from __future__ import annotations

import hashlib

from itsdangerous import BadData, URLSafeSerializer

from app.domain.accounts import User
from app.domain.errors import CursorInvalid


class Cursors:
    def __init__(self, key: bytes) -> None:
        self._serializer = URLSafeSerializer(key, signer_kwargs={"digest_method": hashlib.sha256})

    def encode(self, user: User, last_id: str) -> str:
        cursor = self._serializer.dumps([last_id, user.id])
        return cursor if isinstance(cursor, str) else cursor.decode()

    def decode(self, user: User, cursor: str | None) -> str | None:
        """Return the id after which the page starts, or None for the first page. Raises CursorInvalid."""
        if not cursor:
            return None
        try:
            last_id, owner_id = self._serializer.loads(cursor)
        except (BadData, ValueError, TypeError) as error:
            raise CursorInvalid from error
        if owner_id != user.id:
            raise CursorInvalid
        return str(last_id)
