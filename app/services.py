"""What the routes and commands are handed: every use case, opened and ready."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.core.ports import Accounts, LocalObjects
from app.usecases.direct_uploads import DirectUploads
from app.usecases.library import Library
from app.usecases.once import Once
from app.usecases.spool import Spool
from app.usecases.uploads import Uploads
from app.usecases.views import Views


@dataclass(frozen=True, slots=True)
class Services:
    accounts: Accounts
    uploads: Uploads
    library: Library
    once: Once
    direct_uploads: DirectUploads
    views: Views
    health_checks: Mapping[str, Callable[[], Awaitable[None]]]
    """By the name under which `/health/ready` speaks of it."""
    local_objects: LocalObjects | None
    """Only where this service itself serves the objects."""
    spool: Spool
