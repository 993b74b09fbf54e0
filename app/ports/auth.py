"""Authentication: accounts, sign-in and access tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from app.domain.accounts import Profile, Session, Tokens, User


class Accounts(Protocol):
    """Registers users, signs them in, and authenticates access tokens.

    `client` is the network address of the client, which throttling needs. `user_agent` describes the device in the
    list of sessions. Every method may raise DependencyUnavailable once its retries are exhausted.
    """

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
        """Create an account.

        Raises EmailInvalid, EmailTaken, PasswordWeak, RegistrationClosed, InvitationRequired, InvitationInvalid,
        Overloaded or TooManyAttempts.
        """
        ...

    async def sign_in(self, *, email: str, password: str, client: str, user_agent: str | None = None) -> Tokens:
        """Check the password and start a session.

        Raises CredentialsInvalid, with the same detail and after the same time whether or not the account exists,
        AccountDisabled, Overloaded, TooManyAttempts with `retry_after`, or RegistrationClosed if sign-in by password
        is not enabled.
        """
        ...

    async def refresh(self, refresh_token: str) -> Tokens:
        """Exchange a refresh token for new tokens. Raises RefreshTokenInvalid or AccountDisabled."""
        ...

    async def authenticate(self, access_token: str) -> User:
        """Return the user of the token, without reading a table. Raises TokenInvalid, TokenExpired or Overloaded."""
        ...

    async def require_active(self, user: User, access_token: str) -> None:
        """Return if the session of an authenticated token has not ended. Raises TokenInvalid or AccountDisabled."""
        ...

    async def profile(self, access_token: str) -> Profile:
        """Return the profile of the token's account. Raises TokenInvalid or TokenExpired."""
        ...

    async def authorize_deletion(self, access_token: str, *, password: str | None = None) -> None:
        """Return if the owner may delete the account now: after a recent sign-in, or with the password.

        If a provider keeps the account, it deletes the account immediately. May be repeated. Raises TokenInvalid,
        TokenExpired, SignInAgain, PasswordIncorrect or TooManyAttempts.
        """
        ...

    async def delete_account(self, user_id: str) -> None:
        """Delete what the service itself stores about an account. A missing account is ignored."""
        ...


class AccountSettings(Protocol):
    """What users may change about accounts that the service itself stores."""

    async def change_display_name(self, user: User, display_name: str | None) -> None:
        """Raises TokenInvalid if the account no longer exists."""
        ...

    async def change_password(self, user: User, *, current_password: str, new_password: str) -> None:
        """Replace the password and end all other sessions of the user.

        Raises PasswordIncorrect, PasswordWeak, TokenInvalid, Overloaded or TooManyAttempts.
        """
        ...

    async def sessions(self, user: User) -> Sequence[Session]:
        """Return the user's sessions that have not ended, at most 100, the most recently used first."""
        ...

    async def end_session(self, user: User, session_id: str) -> None:
        """Raises SessionMissing if the user has no such session."""
        ...

    async def end_other_sessions(self, user: User) -> None:
        """End all sessions of the user except the one of the access token."""
        ...


class PasswordResets(Protocol):
    """Lets the owner of an account choose a new password without the old one."""

    async def request(self, email: str, *, client: str) -> None:
        """Send a link to the address if it has an account. The result and its time do not show whether it has.

        Raises TooManyAttempts, Overloaded, or PasswordResetUnavailable if the service cannot send email.
        """
        ...

    async def confirm(self, token: str, *, new_password: str) -> User:
        """Set the password of the token's account, and end all of its sessions.

        Raises PasswordResetInvalid, PasswordWeak, AccountDisabled or Overloaded.
        """
        ...


class AppCheck(Protocol):
    """Verifies that a request comes from a genuine app."""

    async def verify(self, token: str | None) -> None:
        """Raises AppCheckFailed, Overloaded or DependencyUnavailable."""
        ...
