"""The second step of a reconcile run: checks each recorded discrepancy again, and repairs it after its grace period."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.consistency.ports import ReconcilePorts, find_record, find_unreferenced, last_parts
from app.consistency.report import ReconcileReport
from app.domain.errors import ImageMissing
from app.domain.images import Image, Tombstone
from app.domain.object_keys import image_folder
from app.domain.reconciliation import Discrepancy, ReconcileState

_BRAKE_FLOOR = 10
_ORIGINALS_SHARE = 0.01
"""More unreferenced originals than this share and the floor, within a week, look like a restored table."""
_LOST_SHARE = 0.1
"""More records without an original than this share and the floor look like the wrong bucket."""

_log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class _Due:
    """The result of checking a recorded discrepancy again."""

    keys: frozenset[str]
    """Unreferenced objects whose grace period has ended."""
    has_original: bool
    """Whether an original without a record is among them."""
    unreferenced_waiting: int
    outdated: Collection[str]
    """Recorded names that no longer are unreferenced objects."""
    is_lost: bool
    """Whether the record's original is missing and the grace period has ended."""
    lost_waiting: bool


class Settlement:
    def __init__(
        self,
        ports: ReconcilePorts,
        report: ReconcileReport,
        state: ReconcileState,
        *,
        now: datetime,
        grace: timedelta,
        confirm: bool,
    ) -> None:
        self._ports = ports
        self._report = report
        self._state = state
        self._now = now
        self._cutoff = now - grace
        self._confirm = confirm

    async def run(self) -> None:
        originals_due = lost_due = 0
        async for entry in self._ports.table.discrepancies():
            due = await self._review(entry)
            originals_due += due.has_original
            lost_due += due.is_lost
        if self._is_unreferenced_excessive(originals_due):
            self._report.deletions_withheld = originals_due
            _log.error("reconcile.deletions_withheld", originals=originals_due)
        if self._is_lost_excessive(lost_due):
            self._report.records_kept = lost_due
            _log.error("reconcile.records_kept", records=lost_due)
        async for entry in self._ports.table.discrepancies():
            await self._settle(entry)

    def _is_unreferenced_excessive(self, originals_due: int) -> bool:
        recent = sum(self._state.originals_deleted.values())
        allowed = max(_BRAKE_FLOOR, (self._report.images + originals_due) * _ORIGINALS_SHARE)
        return bool(originals_due) and recent + originals_due > allowed and not self._confirm

    def _is_lost_excessive(self, lost_due: int) -> bool:
        return lost_due > max(_BRAKE_FLOOR, self._report.images * _LOST_SHARE) and not self._confirm

    async def _review(self, entry: Discrepancy) -> _Due:
        """Remove entries that are no longer true, count those whose grace period is running, return the others."""
        image = await find_record(self._ports.images, entry.owner_id, entry.image_id)
        due = await self._due(entry, image)
        self._report.unreferenced += due.unreferenced_waiting
        self._report.records_lost += due.lost_waiting
        await self._ports.table.forget_unreferenced(entry.owner_id, entry.image_id, due.outdated)
        if entry.lost_since and not (due.is_lost or due.lost_waiting):
            await self._ports.table.forget_lost(entry.owner_id, entry.image_id)
        return due

    async def _due(self, entry: Discrepancy, image: Image | None) -> _Due:
        folder = image_folder(entry.owner_id, entry.image_id)
        keys = frozenset([stored.key async for stored in self._ports.store.walk(folder)])
        still = (find_unreferenced(image, keys) if image else keys) & {folder + name for name in entry.unreferenced}
        expired = {key for key in still if self._is_expired(entry.unreferenced[key.removeprefix(folder)])}
        # The objects of an image without a record are deleted together: the rest would be useless.
        due = expired if image or expired == keys else set[str]()
        is_lost = image is not None and entry.lost_since is not None and image.original_key not in keys
        is_lost_due = is_lost and entry.lost_since is not None and self._is_expired(entry.lost_since)
        return _Due(
            keys=frozenset(due),
            has_original=image is None and any(key.startswith(f"{folder}original.") for key in due),
            unreferenced_waiting=len(still) - len(due),
            outdated=entry.unreferenced.keys() - last_parts(still),
            is_lost=is_lost_due,
            lost_waiting=is_lost and not is_lost_due,
        )

    def _is_expired(self, first_seen: datetime) -> bool:
        return max(first_seen, self._state.unbroken_since) <= self._cutoff

    async def _settle(self, entry: Discrepancy) -> None:
        if not any(map(self._is_expired, filter(None, (*entry.unreferenced.values(), entry.lost_since)))):
            return
        image = await find_record(self._ports.images, entry.owner_id, entry.image_id)
        due = await self._due(entry, image)
        if due.keys and not self._report.deletions_withheld:
            if image:
                await self._delete(entry, due)
            else:
                await self._delete_all(entry, due)
        if image and due.is_lost and not self._report.records_kept:
            await self._remove(image)

    async def _delete_all(self, entry: Discrepancy, due: _Due) -> None:
        """Delete the objects of an image without a record, while a tombstone prevents its record from being added."""
        tombstone = Tombstone(entry.owner_id, entry.image_id, deleted_at=self._now)
        if await self._ports.tombstones.add_tombstone(tombstone):
            await self._delete(entry, due)
            await self._ports.tombstones.remove_tombstone(tombstone)

    async def _delete(self, entry: Discrepancy, due: _Due) -> None:
        if due.has_original:
            # The count is saved before the deletion: after a crash it may be too high, but never too low.
            deleted = self._state.originals_deleted
            today = day_of(self._now)
            self._state = dataclasses.replace(
                self._state, originals_deleted={**deleted, today: deleted.get(today, 0) + 1}
            )
            await self._ports.table.save_reconcile_state(self._state)
        await self._ports.store.delete(due.keys)
        await self._ports.table.forget_unreferenced(entry.owner_id, entry.image_id, last_parts(due.keys))
        self._report.unreferenced_deleted += len(due.keys)
        _log.info("reconcile.unreferenced_deleted", image_id=entry.image_id, objects=len(due.keys))

    async def _remove(self, image: Image) -> None:
        try:
            events = await self._ports.events.of_deletion(image.owner_id, image.id)
            await self._ports.images.remove(image.owner_id, image.id, events=events)
        except ImageMissing:
            return
        self._report.records_removed += 1
        _log.warning("reconcile.record_removed", image_id=image.id, owner_id=image.owner_id)
        await self._ports.store.delete(image.object_keys)
        await self._ports.table.forget_lost(image.owner_id, image.id)


def day_of(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d}"
