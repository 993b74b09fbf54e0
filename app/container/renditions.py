"""Builds what serves renditions."""

from __future__ import annotations

from app.common.rendition_urls import RenditionUrls
from app.common.signing import derive_key
from app.container.adapters import Adapters
from app.imaging.fair_slots import FairSlots
from app.services.renditions import Renditions
from app.settings import Settings

_PER_PROCESS = 2
"""While one rendering of a process runs, the file of the next one is read."""
_QUEUE_PER_PROCESS = 64


def build_renditions(settings: Settings, adapters: Adapters, *, secret: str) -> Renditions:
    turns = FairSlots(
        settings.render_processes * _PER_PROCESS, queue_limit=settings.render_processes * _QUEUE_PER_PROCESS
    )
    urls = RenditionUrls(
        derive_key(secret, "rendition-url"),
        ttl_seconds=settings.presigned_url_ttl,
        window_seconds=settings.presigned_url_window,
        clock=adapters.tables.clock,
    )
    return Renditions(
        urls=urls,
        store=adapters.storage.store,
        images=adapters.tables.images,
        leases=adapters.tables.idempotency,
        renderer=adapters.renderer,
        inspector=adapters.inspector,
        turns=turns,
        temp_files=adapters.temp_files,
        sizes=settings.rendition_sizes,
        clock=adapters.tables.clock,
    )
