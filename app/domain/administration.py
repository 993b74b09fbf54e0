"""Server keys, and the entries of the audit log."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Scope(StrEnum):
    """What a server key may do."""

    USERS_READ = "users:read"
    USERS_DELETE = "users:delete"
    AUDIT_READ = "audit:read"
    WEBHOOKS = "webhooks"
    """Manage webhook endpoints and see their secrets."""
    IMAGES = "images"
    """Everything that a user may do with images, on behalf of any user."""


@dataclass(frozen=True, slots=True)
class ServerKey:
    """A key with which another server calls the API."""

    id: str
    name: str
    scopes: tuple[Scope, ...]
    token_hash: str
    """SHA-256 (hex) of the token, which is not stored."""
    created_at: datetime
    revoked_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what to which account, image or key."""

    id: str
    """A UUIDv7: entries sort by time."""
    at: datetime
    actor: str
    """`user:<id>`, `key:<id>`, `operator` (the command line) or `service` (the service itself)."""
    action: str
    """Such as `image.deleted`."""
    owner_id: str | None
    """The user whose account or image it concerns."""
    target: str | None
    """The id of the image, session, job, key or webhook endpoint."""
    address: str | None
    """The network address of the client. It is removed when the account is deleted."""
    expires_at: datetime
