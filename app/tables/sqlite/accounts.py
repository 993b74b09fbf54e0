"""AccountTable in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime

from app.domain.accounts import MAX_READ_SESSIONS, Account, Session
from app.domain.errors import EmailTaken
from app.tables.serializer import time_to_text
from app.tables.sqlite.database import SqliteDatabase
from app.tables.sqlite.rows import first, from_row, insert

_FIND = "SELECT * FROM accounts WHERE id = ?"
_FIND_BY_EMAIL = "SELECT * FROM accounts WHERE normalized_email = ?"
_REPLACE_PASSWORD_HASH = "UPDATE accounts SET password_hash = ? WHERE id = ? AND password_hash = ? RETURNING id"
_EDITABLE = ("display_name", "disabled_at")
_WALK = "SELECT * FROM accounts WHERE id > ? ORDER BY id LIMIT ?"
_WALK_ROWS = 500
_FIND_SESSION = "SELECT * FROM sessions WHERE account_id = ? AND id = ?"
_SESSIONS = "SELECT * FROM sessions WHERE account_id = ? ORDER BY id DESC LIMIT ?"
_ROTATE_SESSION = """
    UPDATE sessions SET token_hash = ?, expires_at = ?, refreshed_at = ?
    WHERE account_id = ? AND id = ? AND token_hash = ?
"""
_REMOVE_SESSION = "DELETE FROM sessions WHERE account_id = ? AND id = ?"
_REMOVE_SESSIONS = "DELETE FROM sessions WHERE account_id = ? AND id != ?"
_REMOVE_EXPIRED_SESSIONS = "DELETE FROM sessions WHERE expires_at <= ?"
_REMOVE_ACCOUNT = "DELETE FROM accounts WHERE id = ?"


class SqliteAccountTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_account(self, account: Account, *, session: Session) -> None:
        def add(writer: sqlite3.Connection) -> None:
            insert(writer, "accounts", account, normalized_email=account.email_key)
            insert(writer, "sessions", session)

        try:
            await self._database.write(add)
        except sqlite3.IntegrityError as error:
            raise EmailTaken from error

    async def find_account(self, account_id: str) -> Account | None:
        return first(Account, await self._database.read(_FIND, account_id))

    async def find_account_by_email(self, email_key: str) -> Account | None:
        return first(Account, await self._database.read(_FIND_BY_EMAIL, email_key))

    async def edit_account(self, account_id: str, *, changes: Mapping[str, str | datetime | None]) -> Account | None:
        columns = [column for column in _EDITABLE if column in changes]
        if not columns:
            return await self.find_account(account_id)
        values = [time_to_text(value) if isinstance(value := changes[name], datetime) else value for name in columns]
        assignments = ", ".join(f"{column} = ?" for column in columns)
        edit = f"UPDATE accounts SET {assignments} WHERE id = ? RETURNING *"  # noqa: S608 - constant names
        return first(Account, await self._database.execute(edit, *values, account_id))

    async def replace_password_hash(self, account_id: str, *, old_hash: str, new_hash: str) -> bool:
        return bool(await self._database.execute(_REPLACE_PASSWORD_HASH, new_hash, account_id, old_hash))

    async def accounts(self) -> AsyncIterator[Account]:
        last = ""
        while rows := await self._database.read(_WALK, last, _WALK_ROWS):
            for row in rows:
                yield from_row(Account, row)
            last = rows[-1]["id"]

    async def add_session(self, session: Session) -> None:
        await self._database.write(lambda writer: insert(writer, "sessions", session))

    async def find_session(self, account_id: str, session_id: str) -> Session | None:
        return first(Session, await self._database.read(_FIND_SESSION, account_id, session_id))

    async def sessions(self, account_id: str) -> Sequence[Session]:
        return [from_row(Session, row) for row in await self._database.read(_SESSIONS, account_id, MAX_READ_SESSIONS)]

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        values = (new_hash, time_to_text(expires_at), time_to_text(now), account_id, session_id, old_hash)

        def rotate(writer: sqlite3.Connection) -> bool:
            # An expired session counts as missing. Deleting it here also keeps the table small.
            writer.execute(_REMOVE_EXPIRED_SESSIONS, (time_to_text(now),))
            return writer.execute(_ROTATE_SESSION, values).rowcount == 1

        return await self._database.write(rotate)

    async def remove_session(self, account_id: str, session_id: str) -> None:
        await self._database.execute(_REMOVE_SESSION, account_id, session_id)

    async def remove_sessions(self, account_id: str, *, keep: str | None = None) -> None:
        await self._database.execute(_REMOVE_SESSIONS, account_id, keep or "")

    async def remove_account(self, account_id: str) -> None:
        def remove(writer: sqlite3.Connection) -> None:
            writer.execute(_REMOVE_ACCOUNT, (account_id,))
            writer.execute(_REMOVE_SESSIONS, (account_id, ""))

        await self._database.write(remove)
