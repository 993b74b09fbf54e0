"""AccountTable in DynamoDB."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime

from app.domain.accounts import MAX_READ_SESSIONS, Account, Session
from app.domain.errors import EmailTaken
from app.tables.dynamodb import keys
from app.tables.dynamodb.items import account_item, session_from_item, session_item, time_to_ttl, update_of
from app.tables.dynamodb.table import Action, ConditionFailed, DynamoDBTable
from app.tables.serializer import from_fields

_NO_ACCOUNT = "none"


class DynamoDBAccountTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_account(self, account: Account, *, session: Session) -> None:
        email = {**keys.email_key(account.email_key), "account_id": account.id}
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

    async def find_account_by_email(self, email_key: str) -> Account | None:
        fields = await self._table.find(keys.email_key(email_key))
        # An unknown address costs a second read too: the time of a sign-in must not reveal whether an account exists.
        return await self.find_account(fields["account_id"] if fields else _NO_ACCOUNT)

    async def edit_account(self, account_id: str, *, changes: Mapping[str, str | datetime | None]) -> Account | None:
        if not changes:
            return await self.find_account(account_id)
        key, condition = keys.account_key(account_id), "attribute_exists(#pk)"
        try:
            fields = await self._table.update(key, ConditionExpression=condition, **update_of(changes))
        except ConditionFailed:
            return None
        return from_fields(Account, fields)

    async def replace_password_hash(self, account_id: str, *, old_hash: str, new_hash: str) -> bool:
        key = keys.account_key(account_id)
        try:
            await self._table.update(
                key,
                UpdateExpression="SET #password_hash = :new_hash",
                ConditionExpression="#password_hash = :old_hash",
                values={"new_hash": new_hash, "old_hash": old_hash},
            )
        except ConditionFailed:
            # The SDK may have retried a write that succeeded: then the new hash is already there.
            account = await self.find_account(account_id)
            return account is not None and account.password_hash == new_hash
        return True

    async def accounts(self) -> AsyncIterator[Account]:
        async for items in self._table.scan(FilterExpression="#sk = :account", values={"account": keys.ACCOUNT}):
            for fields in items:
                yield from_fields(Account, fields)

    async def add_session(self, session: Session) -> None:
        await self._table.put(session_item(session))

    async def find_session(self, account_id: str, session_id: str) -> Session | None:
        fields = await self._table.find(keys.session_key(account_id, session_id))
        return None if fields is None else session_from_item(fields)

    async def sessions(self, account_id: str) -> Sequence[Session]:
        items, _ = await self._table.query_page(
            KeyConditionExpression="#pk = :partition AND begins_with(#sk, :prefix)",
            ScanIndexForward=False,
            Limit=MAX_READ_SESSIONS,
            values={"partition": keys.account_partition(account_id), "prefix": keys.SESSION_PREFIX},
        )
        return [session_from_item(fields) for fields in items]

    async def rotate_session(
        self, account_id: str, session_id: str, *, old_hash: str, new_hash: str, expires_at: datetime, now: datetime
    ) -> bool:
        key = keys.session_key(account_id, session_id)
        try:
            await self._table.update(
                key,
                UpdateExpression="SET #token_hash = :new_hash, #ends_at = :ends_at, #expires_at = :expires_at, "
                "#refreshed_at = :now",
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
            # The SDK may have retried a write that succeeded: then the new values are already there.
            session = await self.find_session(account_id, session_id)
            return session is not None and (session.token_hash, session.refreshed_at) == (new_hash, now)
        return True

    async def remove_session(self, account_id: str, session_id: str) -> None:
        await self._table.delete(keys.session_key(account_id, session_id))

    async def remove_sessions(self, account_id: str, *, keep: str | None = None) -> None:
        kept = keys.session_key(account_id, keep) if keep else None
        await self._table.delete_all(
            partition=keys.account_partition(account_id), prefix=keys.SESSION_PREFIX, exclude=kept
        )

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
        "Key": keys.email_key(account.email_key),
        "ConditionExpression": "#account_id = :account_id",
        "values": {"account_id": account.id},
    }
