"""Tables that keep records and objects consistent. Methods may raise DependencyUnavailable, as in `ports.tables`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Collection, Sequence
from datetime import datetime
from typing import Protocol

from app.domain.reconciliation import Discrepancy, ReconcileState


class ReconcileTable(Protocol):
    """What reconcile runs found out of step, until it is settled. All times are store times."""

    async def note_unreferenced(self, owner_id: str, image_id: str, names: Collection[str], *, at: datetime) -> None:
        """Record objects of the image that no record refers to. Objects that are recorded already keep their time."""
        ...

    async def note_lost(self, owner_id: str, image_id: str, *, at: datetime) -> None:
        """Record that the original of an image is missing, unless that is recorded already."""
        ...

    @property
    def shards(self) -> Sequence[str]:
        """The names of the parts of the table that can be read in parallel."""
        ...

    def discrepancies(self, shard: str, *, after: tuple[str, str] = ("", "")) -> AsyncIterator[Discrepancy]:
        """Yield everything that is recorded in the shard, ordered by owner and image, beginning after that image.

        Concurrent changes may or may not be included.
        """
        ...

    async def forget_unreferenced(self, owner_id: str, image_id: str, names: Collection[str]) -> None:
        """Remove these entries. Missing entries are ignored."""
        ...

    async def forget_lost(self, owner_id: str, image_id: str) -> None:
        """Remove the entry of `note_lost`. A missing entry is ignored."""
        ...

    async def reconcile_state(self) -> ReconcileState | None: ...

    async def save_reconcile_state(self, state: ReconcileState) -> bool:
        """Save the state if its version is one more than that of the saved state, which is 0 if there is none.

        Otherwise return False, having changed nothing.
        """
        ...


class StoreIdTable(Protocol):
    """The id of the object store that the records refer to."""

    async def store_id(self) -> str | None:
        """Return the id, or None if none was ever set."""
        ...

    async def set_store_id(self, store_id: str) -> str:
        """Set the id unless one is set already, and return the one that is set."""
        ...
