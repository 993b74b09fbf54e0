"""Schemas of the routes for webhook endpoints."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Self

from pydantic import BaseModel, ConfigDict, Field

from app.api.schemas.bodies import JsonBody
from app.domain.events import EventType, WebhookEndpoint
from app.domain.jobs import JobStatus
from app.services.webhooks import Delivery

_Url = Annotated[
    str, Field(max_length=2000, description="Begins with https://.", examples=["https://shop.example.com/hooks"])
]
# Strict validation accepts instances of an enumeration only, which JSON does not have.
_EventType = Annotated[EventType, Field(strict=False)]
_EventTypes = Annotated[list[_EventType], Field(min_length=1, description="The events that are sent to it.")]


class WebhookBody(JsonBody):
    url: _Url
    event_types: _EventTypes = Field(default=list(EventType))


class WebhookChanges(JsonBody):
    """Fields that are missing stay as they are."""

    url: _Url | None = None
    event_types: _EventTypes | None = None
    disabled: bool | None = None


class WebhookView(BaseModel):
    model_config = ConfigDict(from_attributes=True)

    id: str
    url: str
    event_types: list[EventType]
    created_at: datetime
    disabled_at: datetime | None = Field(
        description="When an operator disabled it, or the service after a day of failed deliveries."
    )
    previous_secret_until: datetime | None = Field(description="Until then, the previous secret signs as well.")


class WebhookSecretView(WebhookView):
    secret: str = Field(description="Verifies the signatures. Not shown again.", examples=["whsec_MfKQ9r8GKYqr…"])


class WebhookListView(BaseModel):
    items: list[WebhookView] = Field(description="The oldest first.")

    @classmethod
    def of(cls, endpoints: list[WebhookEndpoint]) -> Self:
        return cls(items=[WebhookView.model_validate(endpoint) for endpoint in endpoints])


class DeliveryView(BaseModel):
    id: str
    event_id: str | None = Field(description="The header `webhook-id`. All deliveries of an event have the same one.")
    event_type: EventType | None = Field(description="Null if the event is older than 30 days.")
    status: JobStatus
    attempts: int
    error: str | None = Field(description="Why the latest attempt failed.")
    next_attempt_at: datetime | None
    created_at: datetime

    @classmethod
    def of(cls, delivery: Delivery) -> Self:
        job, event = delivery.job, delivery.event
        return cls(
            id=job.id,
            event_id=job.event_id,
            event_type=event.type if event else None,
            status=job.status,
            attempts=job.attempts,
            error=job.error.detail if job.error else None,
            next_attempt_at=job.due_at,
            created_at=job.created_at,
        )


class DeliveryPageView(BaseModel):
    items: list[DeliveryView] = Field(description="Newest first. May be empty although there are more pages.")
    next_cursor: str | None = Field(description="Null on the last page.")
