"""Builds what operators do with accounts, and the deletion of accounts."""

from __future__ import annotations

from app.container.adapters import Adapters
from app.jobs.service import JobService
from app.services.account_deletion import AccountDeletion
from app.services.audit import AuditLog
from app.services.authentication import Authentication
from app.services.user_administration import UserAdministration


def build_account_deletion(
    adapters: Adapters, authentication: Authentication, audit: AuditLog, jobs: JobService
) -> AccountDeletion:
    return AccountDeletion(
        accounts=adapters.auth.accounts,
        authentication=authentication,
        owners=adapters.tables.owners,
        store=adapters.storage.store,
        images=adapters.tables.images,
        owner_index=adapters.tables.owner_index,
        shares=adapters.tables.shares,
        audit=audit,
        jobs=jobs,
        clock=adapters.tables.clock,
    )


def build_user_administration(
    adapters: Adapters, authentication: Authentication, account_deletion: AccountDeletion
) -> UserAdministration:
    tables = adapters.tables
    return UserAdministration(
        owner_index=tables.owner_index,
        accounts=tables.accounts,
        images=tables.images,
        owners=tables.owners,
        account_deletion=account_deletion,
        authentication=authentication,
        has_local_accounts=adapters.auth.settings is not None,
        clock=tables.clock,
    )
