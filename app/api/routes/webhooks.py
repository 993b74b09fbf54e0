"""The admin routes for webhook endpoints."""

from __future__ import annotations

from typing import Annotated

from fastapi import Depends, Query, Request

from app.api.auditing import AuditedRoute, set_audited
from app.api.dependencies import ServicesDep, known_query
from app.api.errors import problems
from app.api.router import ApiRouter
from app.api.routes.admin import KEY_ERRORS, Cursor, Limit, requires_scope
from app.api.schemas.webhooks import (
    DeliveryPageView,
    DeliveryView,
    WebhookBody,
    WebhookChanges,
    WebhookListView,
    WebhookSecretView,
    WebhookView,
)
from app.domain.administration import Scope
from app.domain.errors import (
    CursorInvalid,
    JsonInvalid,
    WebhookDeliveryMissing,
    WebhookDisabled,
    WebhookLimitReached,
    WebhookMissing,
    WebhookUrlRefused,
)
from app.domain.jobs import JobStatus

router = ApiRouter(
    prefix="/admin/webhooks",
    tags=["administration"],
    route_class=AuditedRoute,
    dependencies=[Depends(requires_scope(Scope.WEBHOOKS))],
)


@router.get("", responses=problems(*KEY_ERRORS))
async def list_webhooks(services: ServicesDep) -> WebhookListView:
    """List all webhook endpoints. Needs the scope `webhooks`, like all routes for webhooks."""
    return WebhookListView.of(list(await services.webhooks.endpoints()))


@router.post("", status_code=201, responses=problems(*KEY_ERRORS, JsonInvalid, WebhookUrlRefused, WebhookLimitReached))
async def create_webhook(request: Request, body: WebhookBody, services: ServicesDep) -> WebhookSecretView:
    """Register an endpoint. It receives the events that happen from five seconds later on."""
    endpoint = await services.webhooks.create(body.url, body.event_types)
    set_audited(request, targets=[endpoint.id])
    return WebhookSecretView.model_validate(endpoint)


@router.get("/{webhook_id}", responses=problems(*KEY_ERRORS, WebhookMissing))
async def get_webhook(webhook_id: str, services: ServicesDep) -> WebhookView:
    """Show an endpoint, without its secret."""
    return WebhookView.model_validate(await services.webhooks.get(webhook_id))


@router.patch("/{webhook_id}", responses=problems(*KEY_ERRORS, JsonInvalid, WebhookMissing, WebhookUrlRefused))
async def change_webhook(webhook_id: str, body: WebhookChanges, services: ServicesDep) -> WebhookView:
    """Change an endpoint, or disable or enable it. Events while it is disabled are not sent to it later."""
    endpoint = await services.webhooks.change(
        webhook_id, url=body.url, event_types=body.event_types, disabled=body.disabled
    )
    return WebhookView.model_validate(endpoint)


@router.delete("/{webhook_id}", status_code=204, responses=problems(*KEY_ERRORS, WebhookMissing))
async def delete_webhook(webhook_id: str, services: ServicesDep) -> None:
    """Remove an endpoint and its deliveries."""
    await services.webhooks.remove(webhook_id)


@router.post("/{webhook_id}/secret", responses=problems(*KEY_ERRORS, WebhookMissing))
async def rotate_webhook_secret(webhook_id: str, services: ServicesDep) -> WebhookSecretView:
    """Replace the secret. For 24 hours, requests have signatures of both the previous and the new secret."""
    return WebhookSecretView.model_validate(await services.webhooks.rotate_secret(webhook_id))


@router.get(
    "/{webhook_id}/deliveries",
    responses=problems(*KEY_ERRORS, WebhookMissing, CursorInvalid),
    dependencies=[Depends(known_query)],
)
async def list_deliveries(
    webhook_id: str,
    services: ServicesDep,
    limit: Limit = 50,
    cursor: Cursor = None,
    status: Annotated[JobStatus | None, Query(description="Only deliveries with this status.")] = None,
) -> DeliveryPageView:
    """List the deliveries to an endpoint. They are kept for 30 days after they ended."""
    deliveries, next_cursor = await services.webhooks.deliveries(webhook_id, cursor=cursor, limit=limit, status=status)
    return DeliveryPageView(items=[DeliveryView.of(delivery) for delivery in deliveries], next_cursor=next_cursor)


@router.post(
    "/{webhook_id}/deliveries/{delivery_id}/redeliver",
    status_code=202,
    responses=problems(*KEY_ERRORS, WebhookMissing, WebhookDeliveryMissing, WebhookDisabled),
)
async def redeliver_event(request: Request, webhook_id: str, delivery_id: str, services: ServicesDep) -> DeliveryView:
    """Deliver the event of a delivery again, as a new delivery with the same `webhook-id`."""
    delivery = await services.webhooks.redeliver(webhook_id, delivery_id)
    set_audited(request, targets=[delivery.job.id])
    return DeliveryView.of(delivery)
