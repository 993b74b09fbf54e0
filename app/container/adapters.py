"""Everything that the settings select, opened: the use cases are built from it."""

from __future__ import annotations

from dataclasses import dataclass

from app.common.rate_limit import RateLimiter
from app.common.temp_files import TempFiles
from app.container.accounts import Auth
from app.container.backends import Storage, Tables
from app.ports.catalog import ProductCatalog
from app.ports.metrics import Metrics
from app.ports.queue import JobQueue
from app.ports.renderer import Inspector, Renderer
from app.ports.scanner import Scanner
from app.ports.webhook_sender import WebhookSender


@dataclass(frozen=True, slots=True)
class Adapters:
    storage: Storage
    tables: Tables
    queue: JobQueue
    auth: Auth
    catalog: ProductCatalog
    webhook_sender: WebhookSender
    scanner: Scanner | None
    """None if images are not scanned."""
    renderer: Renderer
    inspector: Inspector
    metrics: Metrics
    limiter: RateLimiter
    temp_files: TempFiles
