"""Accounts, sessions and counters of attempts in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from app.adapters.dynamodb.items import (
    SESSION_PREFIX,
    account_key,
    account_partition,
    attempts_key,
    email_key,
    session_key,
    time_to_text,
    time_to_ttl,
)
from app.adapters.dynamodb.records import account_from_fields, account_to_fields, session_to_fields
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.errors import EmailTaken
from app.core.models import Account, Attempts, Session

_NO_ACCOUNT = "none"


class DynamoDBAccountTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_account(self, account: Account, *, session: Session) -> None:
        email = {**email_key(account.email), "account_id": account.id}
        puts = [
            ("Put", {"Item": item, "ConditionExpression": "attribute_not_exists(#pk)"})
            for item in (account_to_fields(account), email, session_to_fields(session))
        ]
        try:
            await self._table.transact(*puts)
        except ConditionFailedError as refusal:
            raise EmailTaken from refusal

    async def find_account(self, account_id: str) -> Account | None:
        fields = await self._table.find(account_key(account_id))
        return None if fields is None else account_from_fields(fields)

    async def find_account_by_email(self, email: str) -> Account | None:
        fields = await self._table.find(email_key(email))
        # Read twice for an unknown address too: the time of a sign-in must not tell whether an account exists.
        return await self.find_account(fields["account_id"] if fields else _NO_ACCOUNT)

    async def set_password_hash(self, account_id: str, password_hash: str) -> None:
        with suppress(ConditionFailedError):
            await self._table.update(
                account_key(account_id),
                UpdateExpression="SET #password_hash = :password_hash",
                ConditionExpression="attribute_exists(#pk)",
                values={"password_hash": password_hash},
            )

    async def add_session(self, session: Session) -> None:
        await self._table.put(session_to_fields(session))

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        key = session_key(account_id, session_id)
        try:
            await self._table.update(
                key,
                UpdateExpression="SET #token_hash = :new_hash, #ends_at = :ends_at, #expires_at = :expires_at",
                ConditionExpression="#token_hash = :old_hash AND #ends_at > :now",
                values={
                    "new_hash": new_hash,
                    "old_hash": old_hash,
                    "ends_at": time_to_text(expires_at),
                    "expires_at": time_to_ttl(expires_at),
                    "now": time_to_text(now),
                },
            )
        except ConditionFailedError:
            # The SDK repeats a request whose answer was lost: the hash may be there because we put it there.
            session = await self._table.find(key)
            return session is not None and session["token_hash"] == new_hash
        return True

    async def remove_session(self, account_id: str, session_id: str) -> None:
        await self._table.delete(session_key(account_id, session_id))

    async def remove_sessions(self, account_id: str) -> None:
        await self._table.delete_all(partition=account_partition(account_id), prefix=SESSION_PREFIX)

    async def remove_account(self, account_id: str) -> None:
        account = await self.find_account(account_id)
        if account is not None:
            # Whoever else removes the account at this moment frees its address, which may have another then.
            with suppress(ConditionFailedError):
                await self._table.transact(("Delete", {"Key": account_key(account_id)}), _free(account))
        await self.remove_sessions(account_id)

    async def count_attempt(self, key: str, *, now: datetime, window_seconds: int) -> Attempts:
        resets_at = now + timedelta(seconds=window_seconds)
        while True:
            with suppress(ConditionFailedError):
                return await self._count_one_more(key, now=now)
            # The first in a window opens it; whoever meets it there counts in it, by going round once more.
            with suppress(ConditionFailedError):
                return await self._open_window(key, now=now, resets_at=resets_at)

    async def _count_one_more(self, key: str, *, now: datetime) -> Attempts:
        fields = await self._table.update(
            attempts_key(key),
            UpdateExpression="ADD #attempts :one",
            ConditionExpression="#resets_at > :now",
            values={"one": 1, "now": time_to_text(now)},
        )
        return Attempts(fields["attempts"], datetime.fromisoformat(fields["resets_at"]))

    async def _open_window(self, key: str, *, now: datetime, resets_at: datetime) -> Attempts:
        await self._table.update(
            attempts_key(key),
            UpdateExpression="SET #attempts = :one, #resets_at = :resets_at, #expires_at = :expires_at",
            ConditionExpression="attribute_not_exists(#pk) OR #resets_at <= :now",
            values={
                "one": 1,
                "now": time_to_text(now),
                "resets_at": time_to_text(resets_at),
                "expires_at": time_to_ttl(resets_at),
            },
        )
        return Attempts(1, resets_at)

    async def clear_attempts(self, key: str) -> None:
        await self._table.delete(attempts_key(key))


def _free(account: Account) -> tuple[str, dict[str, Any]]:
    delete = {
        "Key": email_key(account.email),
        "ConditionExpression": "#account_id = :account_id",
        "values": {"account_id": account.id},
    }
    return "Delete", delete
