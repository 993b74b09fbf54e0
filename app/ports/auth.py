"""Authentication: accounts, sign-in and access tokens."""

from __future__ import annotations

from typing import Protocol

from app.domain.accounts import Profile, Tokens, User


class Accounts(Protocol):
    """Registers users, signs them in, and authenticates access tokens.

    `client` is the network address of the caller, which throttling needs. Every method may raise DependencyUnavailable
    once its retries are exhausted.
    """

    async def register(
        self, *, email: str, password: str, display_name: str | None, client: str, invitation: str | None = None
    ) -> tuple[Profile, Tokens]:
        """Create an account.

        Raises EmailInvalid, EmailTaken, PasswordWeak, RegistrationClosed, InvitationRequired, InvitationInvalid,
        Overloaded or TooManyAttempts.
        """
        ...

    async def sign_in(self, *, email: str, password: str, client: str) -> Tokens:
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
        """Return the user of the token. Raises TokenInvalid, TokenExpired or Overloaded."""
        ...

    async def profile(self, access_token: str) -> Profile:
        """Return the profile of the token's account. Raises TokenInvalid or TokenExpired."""
        ...

    async def revoke_access(self, access_token: str) -> None:
        """End all sessions of the account, or have its provider delete the account. May be repeated.

        Raises TokenInvalid, TokenExpired, or SignInAgain if the provider requires a recent sign-in.
        """
        ...

    async def delete_account(self, user_id: str) -> None:
        """Delete what the service itself stores about an account. A missing account is ignored."""
        ...
