"""The second look of a reconcile run at what is out of step: it settles what is still so after its grace period."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.core.errors import ImageMissing
from app.core.models import Discrepancy, Image, ReconcileState, Tombstone, image_folder
from app.usecases.reconcile_findings import Findings, Ports, find_record, find_unreferenced, last_parts

_BRAKE_FLOOR = 10
_ORIGINALS_SHARE = 0.01
"""More unreferenced originals than this share and the floor, within a week, look like a restored table."""
_LOST_SHARE = 0.1
"""More records without an original than this share and the floor look like the wrong bucket."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Due:
    """What a second look at a discrepancy found."""

    keys: frozenset[str]
    """Unreferenced objects whose grace period is over."""
    has_original: bool
    """Whether an original without a record is among them."""
    unreferenced_waiting: int
    outdated: Collection[str]
    """Names that were noted and are no longer unreferenced objects."""
    is_lost: bool
    """Whether the record's original is missing and the grace period is over."""
    lost_waiting: bool


class Settlement:
    """Looks at everything that is noted once more, and settles what is still so after its grace period."""

    def __init__(
        self,
        ports: Ports,
        findings: Findings,
        state: ReconcileState,
        *,
        now: datetime,
        grace: timedelta,
        confirm: bool,
    ) -> None:
        self._ports = ports
        self._findings = findings
        self._state = state
        self._now = now
        self._over_before = now - grace
        self._confirm = confirm

    async def run(self) -> None:
        originals_due = lost_due = 0
        async for noted in self._ports.table.discrepancies():
            due = await self._review(noted)
            originals_due += due.has_original
            lost_due += due.is_lost
        if self._is_unreferenced_excessive(originals_due):
            self._findings.deletions_withheld = originals_due
            _log.error("reconcile.deletions_withheld", originals=originals_due)
        if self._is_lost_excessive(lost_due):
            self._findings.records_kept = lost_due
            _log.error("reconcile.records_kept", records=lost_due)
        async for noted in self._ports.table.discrepancies():
            await self._settle(noted)

    def _is_unreferenced_excessive(self, originals_due: int) -> bool:
        recent = sum(self._state.originals_deleted.values())
        allowed = max(_BRAKE_FLOOR, (self._findings.images + originals_due) * _ORIGINALS_SHARE)
        return bool(originals_due) and recent + originals_due > allowed and not self._confirm

    def _is_lost_excessive(self, lost_due: int) -> bool:
        return lost_due > max(_BRAKE_FLOOR, self._findings.images * _LOST_SHARE) and not self._confirm

    async def _review(self, noted: Discrepancy) -> _Due:
        """Remove the notes that are no longer true, count those whose period is not over, and return the others."""
        image = await find_record(self._ports.images, noted.owner_id, noted.image_id)
        due = await self._due(noted, image)
        self._findings.unreferenced += due.unreferenced_waiting
        self._findings.records_lost += due.lost_waiting
        await self._ports.table.forget_unreferenced(noted.owner_id, noted.image_id, due.outdated)
        if noted.lost_since and not (due.is_lost or due.lost_waiting):
            await self._ports.table.forget_lost(noted.owner_id, noted.image_id)
        return due

    async def _due(self, noted: Discrepancy, image: Image | None) -> _Due:
        folder = image_folder(noted.owner_id, noted.image_id)
        keys = frozenset([stored.key async for stored in self._ports.store.walk(folder)])
        still = (find_unreferenced(image, keys) if image else keys) & {folder + name for name in noted.unreferenced}
        over = {key for key in still if self._is_over(noted.unreferenced[key.removeprefix(folder)])}
        # The objects of an image that has no record go together: those that are left would be of no use.
        due = over if image or over == keys else set[str]()
        is_lost = image is not None and noted.lost_since is not None and image.original_key not in keys
        is_lost_due = is_lost and noted.lost_since is not None and self._is_over(noted.lost_since)
        return _Due(
            keys=frozenset(due),
            has_original=image is None and any(key.startswith(f"{folder}original.") for key in due),
            unreferenced_waiting=len(still) - len(due),
            outdated=noted.unreferenced.keys() - last_parts(still),
            is_lost=is_lost_due,
            lost_waiting=is_lost and not is_lost_due,
        )

    def _is_over(self, first_seen: datetime) -> bool:
        return max(first_seen, self._state.unbroken_since) <= self._over_before

    async def _settle(self, noted: Discrepancy) -> None:
        if not any(map(self._is_over, filter(None, (*noted.unreferenced.values(), noted.lost_since)))):
            return
        image = await find_record(self._ports.images, noted.owner_id, noted.image_id)
        due = await self._due(noted, image)
        if due.keys and not self._findings.deletions_withheld:
            if image:
                await self._delete(noted, due)
            else:
                await self._delete_all(noted, due)
        if image and due.is_lost and not self._findings.records_kept:
            await self._remove(image)

    async def _delete_all(self, noted: Discrepancy, due: _Due) -> None:
        """Delete the objects of an image that has no record, and let none be added meanwhile."""
        tombstone = Tombstone(noted.owner_id, noted.image_id, deleted_at=self._now)
        if await self._ports.tombstones.add_tombstone(tombstone):
            await self._delete(noted, due)
            await self._ports.tombstones.remove_tombstone(tombstone)

    async def _delete(self, noted: Discrepancy, due: _Due) -> None:
        if due.has_original:
            # Noted before it is done: after a crash too many count as deleted, never too few.
            deleted = self._state.originals_deleted
            today = day_of(self._now)
            self._state = dataclasses.replace(
                self._state, originals_deleted={**deleted, today: deleted.get(today, 0) + 1}
            )
            await self._ports.table.save_reconcile_state(self._state)
        await self._ports.store.delete(due.keys)
        await self._ports.table.forget_unreferenced(noted.owner_id, noted.image_id, last_parts(due.keys))
        self._findings.unreferenced_deleted += len(due.keys)
        _log.info("reconcile.unreferenced_deleted", image_id=noted.image_id, objects=len(due.keys))

    async def _remove(self, image: Image) -> None:
        try:
            await self._ports.images.remove(image.owner_id, image.id)
        except ImageMissing:
            return
        self._findings.records_removed += 1
        _log.warning("reconcile.record_removed", image_id=image.id, owner_id=image.owner_id)
        await self._ports.store.delete(image.object_keys)
        await self._ports.table.forget_lost(image.owner_id, image.id)


def day_of(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
