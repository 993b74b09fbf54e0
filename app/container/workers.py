"""Builds the worker, and its parts, which run background jobs and periodic work."""

from __future__ import annotations

from app.common.object_deletion import ObjectDeletion
from app.common.upload_expiry import UploadExpiry
from app.common.webhook_events import WebhookEvents
from app.consistency.reconciler import Reconciler
from app.container.adapters import Adapters
from app.jobs.event_dispatch import EventDispatch
from app.jobs.maintenance import Maintenance
from app.jobs.registry import JobRegistry
from app.jobs.runner import JobRunner
from app.jobs.service import JobService
from app.jobs.worker import Runner, Worker
from app.ports.queue import JobQueue
from app.settings import Settings


def build_worker(
    settings: Settings, adapters: Adapters, registry: JobRegistry, events: WebhookEvents, maintenance: Maintenance
) -> Worker:
    runner: Runner = build_runner(adapters, registry, events, queue=adapters.queue)
    if settings.otel_exporter_otlp_endpoint:
        from app.observability.tracing import TracedRunner

        runner = TracedRunner(runner)
    return Worker(
        queue=adapters.queue,
        runner=runner,
        maintenance=maintenance,
        metrics=adapters.metrics,
        queue_is_volatile=settings.queue == "local",
    )


def build_runner(adapters: Adapters, registry: JobRegistry, events: WebhookEvents, *, queue: JobQueue) -> JobRunner:
    """`queue` is the one in which the runner acknowledges messages and sends them again."""
    tables = adapters.tables
    return JobRunner(
        table=tables.jobs,
        queue=queue,
        registry=registry,
        events=events,
        metrics=adapters.metrics,
        clock=tables.clock,
    )


def build_maintenance(
    adapters: Adapters, jobs: JobService, reconciler: Reconciler, deletion: ObjectDeletion
) -> Maintenance:
    tables = adapters.tables
    return Maintenance(
        jobs=tables.jobs,
        queue=adapters.queue,
        idempotency=tables.idempotency,
        deletion=deletion,
        upload_expiry=UploadExpiry(tables.direct_uploads, adapters.storage.parts, clock=tables.clock),
        event_dispatch=EventDispatch(
            events=tables.events, endpoints=tables.webhook_endpoints, jobs=jobs, clock=tables.clock
        ),
        reconciler=reconciler,
        images=tables.images,
        accounts=tables.accounts,
        owner_index=tables.owner_index,
        clock=tables.clock,
    )
