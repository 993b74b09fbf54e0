"""Accounts, sessions and counters of attempts in SQLite."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial

from app.adapters.sqlite.database import SqliteDatabase
from app.adapters.sqlite.rows import account_from_row, time_from_text, time_to_text
from app.core.emails import normalise
from app.core.errors import EmailTaken
from app.core.models import Account, Attempts, Session

_FIND = "SELECT * FROM accounts WHERE id = ?"
_FIND_BY_EMAIL = "SELECT * FROM accounts WHERE normalised_email = ?"
_ADD = "INSERT INTO accounts VALUES (?, ?, ?, ?, ?, ?)"
_SET_PASSWORD_HASH = "UPDATE accounts SET password_hash = ? WHERE id = ?"
_ADD_SESSION = "INSERT INTO sessions VALUES (?, ?, ?, ?)"
_ROTATE_SESSION = """
    UPDATE sessions SET token_hash = ?, expires_at = ? WHERE account_id = ? AND id = ? AND token_hash = ?
"""
_REMOVE_SESSION = "DELETE FROM sessions WHERE account_id = ? AND id = ?"
_REMOVE_SESSIONS = "DELETE FROM sessions WHERE account_id = ?"
_REMOVE_ACCOUNT = "DELETE FROM accounts WHERE id = ?"
_COUNT_ATTEMPT = """
    INSERT INTO attempts VALUES (?, 1, ?) ON CONFLICT (key) DO UPDATE SET count = count + 1
    RETURNING count, resets_at
"""
_CLEAR_ATTEMPTS = "DELETE FROM attempts WHERE key = ?"


class SqliteAccountTable:
    def __init__(self, database: SqliteDatabase) -> None:
        self._database = database

    async def add_account(self, account: Account, *, session: Session) -> None:
        values = (
            account.id,
            account.email,
            normalise(account.email),
            account.password_hash,
            account.display_name,
            time_to_text(account.created_at),
        )

        def add(writer: sqlite3.Connection) -> None:
            writer.execute(_ADD, values)
            writer.execute(_ADD_SESSION, _session_to_values(session))

        try:
            await self._database.write(add)
        except sqlite3.IntegrityError as error:
            raise EmailTaken from error

    async def find_account(self, account_id: str) -> Account | None:
        return _first(await self._database.read(_FIND, account_id))

    async def find_account_by_email(self, email: str) -> Account | None:
        return _first(await self._database.read(_FIND_BY_EMAIL, normalise(email)))

    async def set_password_hash(self, account_id: str, password_hash: str) -> None:
        await self._database.execute(_SET_PASSWORD_HASH, password_hash, account_id)

    async def add_session(self, session: Session) -> None:
        await self._database.execute(_ADD_SESSION, *_session_to_values(session))

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        values = (new_hash, time_to_text(expires_at), account_id, session_id, old_hash)
        return await self._database.write(partial(_rotate_session, values=values, now=now))

    async def remove_session(self, account_id: str, session_id: str) -> None:
        await self._database.execute(_REMOVE_SESSION, account_id, session_id)

    async def remove_sessions(self, account_id: str) -> None:
        await self._database.execute(_REMOVE_SESSIONS, account_id)

    async def remove_account(self, account_id: str) -> None:
        def remove(writer: sqlite3.Connection) -> None:
            writer.execute(_REMOVE_ACCOUNT, (account_id,))
            writer.execute(_REMOVE_SESSIONS, (account_id,))

        await self._database.write(remove)

    async def count_attempt(self, key: str, *, now: datetime, window_seconds: int) -> Attempts:
        values = (key, time_to_text(now + timedelta(seconds=window_seconds)))
        return await self._database.write(partial(_count_attempt, values=values, now=now))

    async def clear_attempts(self, key: str) -> None:
        await self._database.execute(_CLEAR_ATTEMPTS, key)


def _first(rows: Sequence[sqlite3.Row]) -> Account | None:
    return account_from_row(rows[0]) if rows else None


def _rotate_session(db: sqlite3.Connection, *, values: Sequence[str], now: datetime) -> bool:
    _remove_expired(db, now=now)
    return db.execute(_ROTATE_SESSION, values).rowcount == 1


def _count_attempt(db: sqlite3.Connection, *, values: Sequence[str], now: datetime) -> Attempts:
    _remove_expired(db, now=now)
    count, resets_at = db.execute(_COUNT_ATTEMPT, values).fetchone()
    return Attempts(count, time_from_text(resets_at))


# What is over is as good as gone, so both questions above begin here; it also keeps the file from growing for ever.
def _remove_expired(db: sqlite3.Connection, *, now: datetime) -> None:
    db.execute("DELETE FROM sessions WHERE expires_at <= ?", (time_to_text(now),))
    db.execute("DELETE FROM attempts WHERE resets_at <= ?", (time_to_text(now),))


def _session_to_values(session: Session) -> tuple[str, str, str, str]:
    return session.account_id, session.id, session.token_hash, time_to_text(session.expires_at)
