"""Builds the shares."""

from __future__ import annotations

from app.common.pagination import Cursors
from app.common.signing import derive_key
from app.container.adapters import Adapters
from app.services.library import Library
from app.services.shares import Shares
from app.services.user_administration import UserAdministration


def build_shares(adapters: Adapters, library: Library, users: UserAdministration, *, secret: str) -> Shares:
    return Shares(
        table=adapters.tables.shares,
        library=library,
        users=users,
        passwords=adapters.auth.passwords,
        limiter=adapters.limiter,
        cursors=Cursors(derive_key(secret, "share-cursor")),
        key=derive_key(secret, "share"),
        clock=adapters.tables.clock,
    )
