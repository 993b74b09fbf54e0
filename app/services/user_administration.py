"""What operators do with users: list, show, disable and delete them."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from app.domain.accounts import Account, User
from app.domain.errors import AccountDisabled, CursorInvalid, UserMissing
from app.domain.images import Usage
from app.domain.jobs import Job
from app.ports.admin_tables import OwnerIndex
from app.ports.clock import Clock
from app.ports.tables import AccountTable, ImageTable, OwnerTable
from app.services.account_deletion import AccountDeletion
from app.services.authentication import Authentication

_USER_ID = re.compile(r"(?:x\.)?[A-Za-z0-9_-]{1,128}")


@dataclass(frozen=True, slots=True)
class UserDetails:
    id: str
    account: Account | None
    """None if another provider keeps the account."""
    usage: Usage
    is_closed: bool
    """Whether a job is deleting everything of the user."""

    @property
    def disabled_at(self) -> datetime | None:
        return self.account.disabled_at if self.account else None


def is_user_id(text: str) -> bool:
    """Return whether the text can be the id of a user: see app.domain.accounts.User."""
    return _USER_ID.fullmatch(text) is not None


class UserAdministration:
    def __init__(
        self,
        *,
        owner_index: OwnerIndex,
        accounts: AccountTable,
        images: ImageTable,
        owners: OwnerTable,
        account_deletion: AccountDeletion,
        authentication: Authentication,
        has_local_accounts: bool,
        clock: Clock,
    ) -> None:
        self._owner_index = owner_index
        self._accounts = accounts
        self._images = images
        self._owners = owners
        self._account_deletion = account_deletion
        self._authentication = authentication
        self._has_local_accounts = has_local_accounts
        self._clock = clock

    async def page(self, *, cursor: str | None, limit: int) -> tuple[Sequence[UserDetails], str | None]:
        """Return at most `limit` users, and the cursor of the next page, or None after the last one.

        Raises CursorInvalid.
        """
        if cursor is not None and not is_user_id(cursor):
            raise CursorInvalid
        ids = await self._owner_index.page_owners(after=cursor, limit=limit)
        users = await asyncio.gather(*map(self._details, ids))
        return users, ids[-1] if len(ids) == limit else None

    async def get(self, user_id: str) -> UserDetails:
        """Raises UserMissing."""
        if not is_user_id(user_id):
            raise UserMissing
        details = await self._details(user_id)
        if details.account is None and not await self._owner_index.has_owner(user_id):
            raise UserMissing
        return details

    async def require_usable(self, user_id: str) -> None:
        """Return if a server may act on behalf of the user. Raises UserMissing, AccountDisabled or OwnerClosed.

        With another provider of accounts, every id is accepted whose account was not closed.
        """
        await self._authentication.require_open(user_id)
        if not self._has_local_accounts:
            return
        account = await self._accounts.find_account(user_id)
        if account is None:
            raise UserMissing
        if account.disabled_at:
            raise AccountDisabled

    async def delete(self, user_id: str) -> Job:
        """Close the account and submit a job that deletes everything of the user. Raises UserMissing."""
        await self.get(user_id)
        return await self._account_deletion.close(User(user_id))

    async def disable(self, user_id: str) -> None:
        """Refuse sign-ins of the account, and end its sessions. Raises UserMissing."""
        await self._set_disabled(user_id, self._clock())
        await self._accounts.remove_sessions(user_id)
        self._authentication.forget(user_id)

    async def enable(self, user_id: str) -> None:
        """Allow sign-ins of a disabled account again. Raises UserMissing."""
        await self._set_disabled(user_id, None)

    async def _set_disabled(self, user_id: str, disabled_at: datetime | None) -> None:
        changes = {"disabled_at": disabled_at}
        if not is_user_id(user_id) or await self._accounts.edit_account(user_id, changes=changes) is None:
            raise UserMissing

    async def _details(self, user_id: str) -> UserDetails:
        account, usage, is_closed = await asyncio.gather(
            self._accounts.find_account(user_id), self._images.usage(user_id), self._owners.is_blocked(user_id)
        )
        return UserDetails(user_id, account, usage, is_closed)
