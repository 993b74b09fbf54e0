"""What the routes use. The container builds it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from app.common.idempotency import Idempotency
from app.common.temp_files import TempFiles
from app.jobs.registry import JobRegistry
from app.jobs.service import JobService
from app.ports.auth import Accounts, AccountSettings, AppCheck, PasswordResets
from app.ports.metrics import Metrics
from app.ports.storage import LocalObjects
from app.services.account_deletion import AccountDeletion
from app.services.audit import AuditLog
from app.services.authentication import Authentication
from app.services.direct_uploads import DirectUploads
from app.services.downloads import Downloads
from app.services.exports import Exports
from app.services.library import Library
from app.services.product_images import ProductImages
from app.services.renditions import Renditions
from app.services.resumable_uploads import ResumableUploads
from app.services.server_keys import ServerKeys
from app.services.shares import Shares
from app.services.signed_urls import UrlSigner
from app.services.thumbnails import Thumbnails
from app.services.timeline import Timeline
from app.services.uploads import Uploads
from app.services.user_administration import UserAdministration
from app.services.webhooks import Webhooks


@dataclass(frozen=True, slots=True)
class Services:
    accounts: Accounts
    account_settings: AccountSettings | None
    """None if another provider keeps the accounts."""
    password_resets: PasswordResets | None
    """None if another provider keeps the accounts."""
    app_check: AppCheck | None
    """None if clients need not prove that they are a genuine app."""
    authentication: Authentication
    account_deletion: AccountDeletion
    user_administration: UserAdministration
    server_keys: ServerKeys
    audit: AuditLog
    webhooks: Webhooks
    uploads: Uploads
    direct_uploads: DirectUploads
    resumable_uploads: ResumableUploads
    library: Library
    timeline: Timeline
    shares: Shares
    thumbnails: Thumbnails
    product_images: ProductImages
    exports: Exports
    downloads: Downloads
    url_signer: UrlSigner
    renditions: Renditions
    jobs: JobService
    job_registry: JobRegistry
    idempotency: Idempotency
    metrics: Metrics
    temp_files: TempFiles
    health_checks: Mapping[str, Callable[[], Awaitable[None]]]
    """By the name that `/health/ready` reports."""
    store_origins: tuple[str, ...]
    """The origins of signed URLs (scheme, host and port). Empty if the service itself serves the objects."""
    registration_is_local: bool
    """Whether only clients on this machine may register, because REGISTRATION is not set."""
    local_objects: LocalObjects | None
    """Set only if the service itself serves the objects."""
