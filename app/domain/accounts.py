"""Users, accounts and sessions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class User:
    """The user whom a request's access token identifies.

    `id` is safe as one part of an object key: letters, digits, `-`, `_` and `.` only, never `.` or `..`.
    """

    id: str
    email: str | None = None


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
    """The address as the owner entered it. Its normalized form (domain.emails) is unique."""
    password_hash: str
    display_name: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Session:
    """One signed-in device: a chain of refresh tokens that began with one sign-in."""

    id: str
    account_id: str
    token_hash: str
    """SHA-256 (hex) of the only refresh token that is currently valid."""
    expires_at: datetime
