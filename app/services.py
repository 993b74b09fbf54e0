"""What the routes and commands are handed: every use case, opened and ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.core.ports import Accounts, LocalObjects, Metrics
from app.usecases.adoption import Adoption
from app.usecases.background import Background
from app.usecases.direct_uploads import DirectUploads
from app.usecases.ean_imports import EanImports
from app.usecases.exports import Exports
from app.usecases.jobs import Jobs
from app.usecases.leaving import Leaving
from app.usecases.library import Library
from app.usecases.once import Once
from app.usecases.reconciling import Reconciler
from app.usecases.spool import Spool
from app.usecases.thumbnails import Thumbnails
from app.usecases.uploads import Uploads
from app.usecases.views import Views


@dataclass(frozen=True, slots=True)
class Services:
    accounts: Accounts
    leaving: Leaving
    uploads: Uploads
    library: Library
    thumbnails: Thumbnails
    once: Once
    direct_uploads: DirectUploads
    views: Views
    jobs: Jobs
    ean_imports: EanImports
    exports: Exports
    background: Background
    reconciler: Reconciler
    adoption: Adoption
    metrics: Metrics
    health_checks: Mapping[str, Callable[[], Awaitable[None]]]
    """By the name under which `/health/ready` speaks of it."""
    local_objects: LocalObjects | None
    """Only where this service itself serves the objects."""
    spool: Spool
