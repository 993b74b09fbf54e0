"""Builds what manages webhook endpoints, and what delivers events to them."""

from __future__ import annotations

from app.container.adapters import Adapters
from app.jobs.service import JobService
from app.services.audit import AuditLog
from app.services.webhook_deliveries import WebhookDeliveries
from app.services.webhooks import Webhooks


def build_webhooks(adapters: Adapters, jobs: JobService) -> Webhooks:
    tables = adapters.tables
    return Webhooks(
        endpoints=tables.webhook_endpoints,
        events=tables.events,
        sender=adapters.webhook_sender,
        jobs=jobs,
        clock=tables.clock,
    )


def build_deliveries(adapters: Adapters, audit: AuditLog) -> WebhookDeliveries:
    tables = adapters.tables
    return WebhookDeliveries(
        events=tables.events,
        endpoints=tables.webhook_endpoints,
        sender=adapters.webhook_sender,
        audit=audit,
        clock=tables.clock,
    )
