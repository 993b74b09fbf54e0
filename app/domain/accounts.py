"""Users, accounts and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from app.domain.emails import normalize


@dataclass(frozen=True, slots=True)
class User:
    """The user whom a request's access token identifies.

    `id` is safe as one part of an object key: letters, digits, `-`, `_` and `.` only, never `.` or `..`.
    """

    id: str
    email: str | None = None
    session_id: str | None = None
    """The session to which the token belongs. None with Firebase, and in tokens of versions without sessions."""


@dataclass(frozen=True, slots=True)
class Profile:
    """The part of an account that its owner may see."""

    id: str
    email: str | None
    """None if the account has no address, as after a sign-in by phone with Firebase."""
    display_name: str | None
    created_at: datetime | None
    """None if it is not known, as with Firebase without an API key."""


@dataclass(frozen=True, slots=True)
class Tokens:
    access_token: str
    refresh_token: str
    expires_in: int
    """Seconds until `access_token` expires."""


@dataclass(frozen=True, slots=True)
class Account:
    """An account that the service itself stores (`AUTH=local`)."""

    id: str
    email: str
    """The address as the owner entered it."""
    password_hash: str
    display_name: str | None
    created_at: datetime
    normalized_email: str | None = None
    """The form of the address that is unique. Earlier versions did not store it in every table."""
    disabled_at: datetime | None = None
    """When an operator disabled the account, which nobody can use since then."""

    @property
    def email_key(self) -> str:
        """The key of this account in the index of email addresses."""
        return self.normalized_email or normalize(self.email)


MAX_READ_SESSIONS = 1000
"""How many sessions of one account are read at once. Every sign-in adds one, and most are never ended by their user."""


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device: a chain of refresh tokens that began with one sign-in."""

    id: str
    account_id: str
    token_hash: str
    """SHA-256 (hex) of the newest refresh token."""
    expires_at: datetime
    created_at: datetime | None = None
    """When the user signed in. None in sessions of earlier versions."""
    refreshed_at: datetime | None = None
    """When `token_hash` last replaced another one. None before the first refresh."""
    user_agent: str | None = None
    """The User-Agent header of the sign-in."""
