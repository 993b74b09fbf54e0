"""Builds the use case that has images scanned."""

from __future__ import annotations

from collections.abc import Sequence

from app.common.object_deletion import ObjectDeletion
from app.common.webhook_events import WebhookEvents
from app.container.adapters import Adapters
from app.jobs.registry import JobSpec
from app.jobs.service import JobService
from app.services.scanning import Scanning
from app.settings import Settings


def scan_specs(
    settings: Settings, adapters: Adapters, deletion: ObjectDeletion, events: WebhookEvents, jobs: JobService
) -> Sequence[JobSpec]:
    """Return the spec of scan jobs, or nothing if images are not scanned."""
    if adapters.scanner is None:
        return ()
    scanning = Scanning(
        scanner=adapters.scanner,
        store=adapters.storage.store,
        images=adapters.tables.images,
        deletion=deletion,
        events=events,
        jobs=jobs,
        base_url=settings.public_url or f"http://{settings.host}:{settings.port}",
        clock=adapters.tables.clock,
    )
    return (scanning.job_spec,)
