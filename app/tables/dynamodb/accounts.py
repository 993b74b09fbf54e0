"""AccountTable in DynamoDB."""

from __future__ import annotations

from contextlib import suppress
from datetime import datetime

from app.domain.accounts import Account, Session
from app.domain.errors import EmailTaken
from app.tables.dynamodb import keys
from app.tables.dynamodb.items import account_item, session_item, time_to_ttl
from app.tables.dynamodb.table import Action, ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields

_NO_ACCOUNT = "none"


class DynamoDBAccountTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_account(self, account: Account, *, session: Session) -> None:
        email = {**keys.email_key(account.email), "account_id": account.id}
        puts = [
            ("Put", {"Item": item, "ConditionExpression": "attribute_not_exists(#pk)"})
            for item in (account_item(account), email, session_item(session))
        ]
        try:
            await self._table.transact(*puts)
        except ConditionFailed as refusal:
            raise EmailTaken from refusal

    async def find_account(self, account_id: str) -> Account | None:
        fields = await self._table.find(keys.account_key(account_id))
        return None if fields is None else from_fields(Account, fields)

    async def find_account_by_email(self, email: str) -> Account | None:
        fields = await self._table.find(keys.email_key(email))
        # An unknown address costs a second read too: the time of a sign-in must not reveal whether an account exists.
        return await self.find_account(fields["account_id"] if fields else _NO_ACCOUNT)

    async def set_password_hash(self, account_id: str, password_hash: str) -> None:
        with suppress(ConditionFailed):
            await self._table.update(
                keys.account_key(account_id),
                UpdateExpression="SET #password_hash = :password_hash",
                ConditionExpression="attribute_exists(#pk)",
                values={"password_hash": password_hash},
            )

    async def add_session(self, session: Session) -> None:
        await self._table.put(session_item(session))

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        key = keys.session_key(account_id, session_id)
        try:
            await self._table.update(
                key,
                UpdateExpression="SET #token_hash = :new_hash, #ends_at = :ends_at, #expires_at = :expires_at",
                ConditionExpression="#token_hash = :old_hash AND #ends_at > :now",
                values={
                    "new_hash": new_hash,
                    "old_hash": old_hash,
                    "ends_at": expires_at,
                    "expires_at": time_to_ttl(expires_at),
                    "now": now,
                },
            )
        except ConditionFailed:
            # The SDK may have retried a write that succeeded: then the new hash is already there.
            session = await self._table.find(key)
            return session is not None and session["token_hash"] == new_hash
        return True

    async def remove_session(self, account_id: str, session_id: str) -> None:
        await self._table.delete(keys.session_key(account_id, session_id))

    async def remove_sessions(self, account_id: str) -> None:
        await self._table.delete_all(partition=keys.account_partition(account_id), prefix=keys.SESSION_PREFIX)

    async def remove_account(self, account_id: str) -> None:
        account = await self.find_account(account_id)
        if account is not None:
            # If it fails, another process removed the account, and the address may belong to a new account by now.
            with suppress(ConditionFailed):
                delete: Action = ("Delete", {"Key": keys.account_key(account_id)})
                await self._table.transact(delete, _release_email(account))
        await self.remove_sessions(account_id)


def _release_email(account: Account) -> Action:
    return "Delete", {
        "Key": keys.email_key(account.email),
        "ConditionExpression": "#account_id = :account_id",
        "values": {"account_id": account.id},
    }
