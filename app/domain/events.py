"""Events, which the service reports to webhook endpoints, and these endpoints."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

MAX_ENDPOINTS = 20
"""Every event is delivered to each endpoint, so the number of endpoints is limited."""

SECRET_PREFIX = "whsec_"
_DELIVERY_OWNER_PREFIX = "webhook:"


class EventType(StrEnum):
    IMAGE_CREATED = "image.created"
    IMAGE_READY = "image.ready"
    """All thumbnails are ready."""
    IMAGE_FAILED = "image.failed"
    """The thumbnails could not be rendered."""
    IMAGE_DELETED = "image.deleted"
    JOB_COMPLETED = "job.completed"
    JOB_FAILED = "job.failed"
    ACCOUNT_DELETED = "account.deleted"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. It is written in the transaction of the record that it is about."""

    id: str
    """A UUIDv7: events sort by time."""
    type: EventType
    occurred_at: datetime
    body: str
    """The JSON text that is sent. It contains ids and numbers, no text that a user entered."""


@dataclass(frozen=True, slots=True)
class WebhookEndpoint:
    """An address to which the service sends events."""

    id: str
    url: str
    event_types: tuple[EventType, ...]
    secret: str
    """The key of the signatures: `whsec_` and base64."""
    created_at: datetime
    previous_secret: str | None = None
    """Signs as well, until `previous_secret_until`."""
    previous_secret_until: datetime | None = None
    disabled_at: datetime | None = None

    def wants(self, event: Event) -> bool:
        """Return whether the event is delivered to this endpoint. Events before its registration are not."""
        return self.disabled_at is None and event.type in self.event_types and self.created_at <= event.occurred_at

    def signing_secrets(self, now: datetime) -> tuple[str, ...]:
        """Return the secrets that sign a request at `now`, the current one first."""
        if self.previous_secret and self.previous_secret_until and now < self.previous_secret_until:
            return self.secret, self.previous_secret
        return (self.secret,)


def delivery_owner(endpoint_id: str) -> str:
    """Return the owner of the jobs that deliver events to an endpoint. No user has such an id."""
    return f"{_DELIVERY_OWNER_PREFIX}{endpoint_id}"


def endpoint_of(delivery_owner_id: str) -> str:
    """Return the id of the endpoint whose deliveries belong to this owner."""
    return delivery_owner_id.removeprefix(_DELIVERY_OWNER_PREFIX)
