"""Accounts that the service itself stores: registration, sign-in, and tokens."""

from __future__ import annotations

from datetime import timedelta
from typing import Literal

from app.auth.access_tokens import AccessTokens
from app.auth.emails import check_email, email_key
from app.auth.invitations import Invitations
from app.auth.passwords import Passwords
from app.auth.sessions import Sessions
from app.auth.sign_in import SignIn
from app.common.rate_limit import RateLimit, RateLimiter
from app.domain.accounts import Account, Profile, Session, Tokens, User
from app.domain.errors import (
    AccountDisabled,
    CredentialsInvalid,
    EmailTaken,
    InvitationRequired,
    RegistrationClosed,
    SignInAgain,
    TokenInvalid,
)
from app.domain.ids import new_id
from app.ports.clock import Clock
from app.ports.tables import AccountTable

_RECENT_SIGN_IN = timedelta(minutes=5)
# All users of a school or of a mobile carrier may share one address.
_REGISTRATIONS_PER_CLIENT = RateLimit("registration by client", 1000, 60 * 60)

Registration = Literal["open", "invite", "closed"]


class LocalAccounts:
    def __init__(
        self,
        table: AccountTable,
        *,
        limiter: RateLimiter,
        invitations: Invitations,
        registration: Registration,
        passwords: Passwords,
        sign_in: SignIn,
        sessions: Sessions,
        access_tokens: AccessTokens,
        clock: Clock,
    ) -> None:
        self._table = table
        self._limiter = limiter
        self._invitations = invitations
        self._registration = registration
        self._passwords = passwords
        self._sign_in = sign_in
        self._sessions = sessions
        self._access_tokens = access_tokens
        self._clock = clock

    async def register(
        self,
        *,
        email: str,
        password: str,
        display_name: str | None,
        client: str,
        user_agent: str | None = None,
        invitation: str | None = None,
    ) -> tuple[Profile, Tokens]:
        if self._registration == "closed":
            raise RegistrationClosed
        if self._registration == "invite" and not invitation:
            raise InvitationRequired
        email = check_email(email)
        with self._passwords.slot():
            await self._limiter.count(_REGISTRATIONS_PER_CLIENT, client)
            await self._passwords.check(password, email=email)
            password_hash = await self._passwords.hash(password)
        account = Account(new_id(), email, password_hash, display_name, self._clock(), email_key(email))
        if invitation:
            await self._invitations.redeem(invitation, email=email)
        try:
            tokens = await self._add(account, user_agent=user_agent)
        except EmailTaken:
            if invitation:
                await self._invitations.release(invitation)
            raise
        await self._sign_in.remember_network(email, client)
        return _profile(account), tokens

    async def sign_in(self, *, email: str, password: str, client: str, user_agent: str | None = None) -> Tokens:
        account = await self._sign_in.verify(email=email, password=password, client=client)
        if account.disabled_at:
            raise AccountDisabled
        session, token = self._sessions.new(account.id, user_agent=user_agent)
        await self._table.add_session(session)
        await self._require_unchanged(account, session)
        return self._tokens(account, session_id=session.id, refresh_token=token)

    async def refresh(self, refresh_token: str) -> Tokens:
        account, session_id, successor = await self._sessions.refresh(refresh_token)
        return self._tokens(account, session_id=session_id, refresh_token=successor)

    async def authenticate(self, access_token: str) -> User:
        return self._access_tokens.verify(access_token)

    async def require_active(self, user: User, access_token: str) -> None:  # noqa: ARG002 # the user is enough
        if user.session_id and await self._table.find_session(user.id, user.session_id) is None:
            raise TokenInvalid("The session of this access token has ended. Sign in again.")

    async def profile(self, access_token: str) -> Profile:
        return _profile(await self._account(self._access_tokens.verify(access_token)))

    async def authorize_deletion(self, access_token: str, *, password: str | None = None) -> None:
        user = self._access_tokens.verify(access_token)
        if password is None:
            await self._require_recent_sign_in(user)
        else:
            await self._sign_in.verify_again(await self._account(user), password)

    async def delete_account(self, user_id: str) -> None:
        await self._table.remove_account(user_id)

    async def _add(self, account: Account, *, user_agent: str | None) -> Tokens:
        # Earlier versions stored accounts under other keys, which `add_account` does not see.
        if await self._sign_in.find(account.email):
            raise EmailTaken
        session, token = self._sessions.new(account.id, user_agent=user_agent)
        await self._table.add_account(account, session=session)
        return self._tokens(account, session_id=session.id, refresh_token=token)

    async def _account(self, user: User) -> Account:
        account = await self._table.find_account(user.id)
        if account is None:
            raise TokenInvalid
        return account

    async def _require_unchanged(self, verified: Account, session: Session) -> None:
        """End the new session if the account changed since its password was verified, and raise an error.

        A change of the password ends all sessions, and would otherwise miss one that is added just after it.
        """
        account = await self._table.find_account(verified.id)
        if account is not None and account.password_hash == verified.password_hash and not account.disabled_at:
            return
        await self._table.remove_session(verified.id, session.id)
        raise AccountDisabled if account and account.disabled_at else CredentialsInvalid

    async def _require_recent_sign_in(self, user: User) -> None:
        session = await self._table.find_session(user.id, user.session_id) if user.session_id else None
        if not session or not session.created_at or self._clock() > session.created_at + _RECENT_SIGN_IN:
            raise SignInAgain

    def _tokens(self, account: Account, *, session_id: str, refresh_token: str) -> Tokens:
        access_token = self._access_tokens.issue(account, session_id=session_id)
        return Tokens(access_token, refresh_token, self._access_tokens.lifetime_seconds)


def _profile(account: Account) -> Profile:
    return Profile(account.id, account.email, account.display_name, account.created_at)
