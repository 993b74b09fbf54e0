"""What users may change about accounts that the service itself stores: name, password and sessions."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from app.auth.passwords import Passwords
from app.auth.sign_in import SignIn
from app.domain.accounts import Account, Session, User
from app.domain.errors import PasswordIncorrect, SessionMissing, TokenInvalid
from app.domain.ids import is_id
from app.ports.clock import Clock
from app.ports.tables import AccountTable

_MAX_LISTED = 100
_UNKNOWN_TIME = datetime.min.replace(tzinfo=UTC)


class LocalAccountSettings:
    def __init__(self, table: AccountTable, *, passwords: Passwords, sign_in: SignIn, clock: Clock) -> None:
        self._table = table
        self._passwords = passwords
        self._sign_in = sign_in
        self._clock = clock

    async def change_display_name(self, user: User, display_name: str | None) -> None:
        if await self._table.edit_account(user.id, changes={"display_name": display_name}) is None:
            raise TokenInvalid

    async def change_password(self, user: User, *, current_password: str, new_password: str) -> None:
        account = await self._account(user)
        await self._sign_in.verify_again(account, current_password)
        with self._passwords.slot():
            await self._passwords.check(new_password, email=account.email)
            new_hash = await self._passwords.hash(new_password)
        # The sessions end before and after the change: a process that is killed in between leaves none of them, and a
        # session that began with the old password meanwhile ends too.
        await self.end_other_sessions(user)
        replaced = await self._table.replace_password_hash(
            account.id, old_hash=account.password_hash, new_hash=new_hash
        )
        if not replaced:
            raise PasswordIncorrect("The password was changed by another request. Enter the current one.")
        await self.end_other_sessions(user)

    async def sessions(self, user: User) -> Sequence[Session]:
        now = self._clock()
        running = [session for session in await self._table.sessions(user.id) if session.expires_at > now]
        return sorted(running, key=_last_used_at, reverse=True)[:_MAX_LISTED]

    async def end_session(self, user: User, session_id: str) -> None:
        if not is_id(session_id) or await self._table.find_session(user.id, session_id) is None:
            raise SessionMissing
        await self._table.remove_session(user.id, session_id)

    async def end_other_sessions(self, user: User) -> None:
        await self._table.remove_sessions(user.id, keep=user.session_id)

    async def _account(self, user: User) -> Account:
        account = await self._table.find_account(user.id)
        if account is None:
            raise TokenInvalid
        return account


def _last_used_at(session: Session) -> datetime:
    return session.refreshed_at or session.created_at or _UNKNOWN_TIME
