"""The later steps of a reconcile run: check each recorded discrepancy again, and repair it after its grace period.

Between the two steps, the brakes decide by the counts of the first one whether the second one may delete.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

import structlog

from app.consistency.ports import ReconcilePorts, find_record, find_unreferenced, last_parts
from app.consistency.slices import Slice
from app.domain.errors import ImageMissing
from app.domain.images import Image, Tombstone
from app.domain.object_keys import image_folder
from app.domain.reconciliation import Discrepancy, ReconcileState

_BRAKE_FLOOR = 10
_ORIGINALS_SHARE = 0.01
"""More unreferenced originals than this share and the floor, within a week, look like a restored table."""
_LOST_SHARE = 0.1
"""More records without an original than this share and the floor look like the wrong bucket."""

_BRAKE_DAYS = 7

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
    """A segment is a shard of the recorded discrepancies, and a position is the id of an owner and an image."""

    def __init__(self, ports: ReconcilePorts, *, grace: timedelta) -> None:
        self._ports = ports
        self._grace = grace

    async def review(self, work: Slice) -> None:
        """Remove entries that are no longer true, and count the others."""
        await self._for_each(work, self._review)

    async def settle(self, work: Slice) -> None:
        """Repair what is due, unless it is withheld."""
        await self._for_each(work, self._settle)

    async def _for_each(self, work: Slice, handle: Callable[[Discrepancy, Slice], Awaitable[None]]) -> None:
        owner_id, _, image_id = work.after.partition("/")
        async for entry in self._ports.table.discrepancies(work.segment.name, after=(owner_id, image_id)):
            await handle(entry, work)
            work.after = f"{entry.owner_id}/{entry.image_id}"
            if work.is_over:
                return
        work.done = True

    async def _review(self, entry: Discrepancy, work: Slice) -> None:
        image = await find_record(self._ports.images, entry.owner_id, entry.image_id)
        due = await self._due(entry, image, work.state)
        if due.outdated:
            await self._ports.table.forget_unreferenced(entry.owner_id, entry.image_id, due.outdated)
        if entry.lost_since and not (due.is_lost or due.lost_waiting):
            await self._ports.table.forget_lost(entry.owner_id, entry.image_id)
        work.report.unreferenced += due.unreferenced_waiting
        work.report.records_lost += due.lost_waiting
        work.report.originals_due += due.has_original
        work.report.lost_due += due.is_lost

    async def _due(self, entry: Discrepancy, image: Image | None, state: ReconcileState) -> _Due:
        folder = image_folder(entry.owner_id, entry.image_id)
        keys = frozenset([stored.key async for stored in self._ports.store.walk(folder)])
        still = (find_unreferenced(image, keys) if image else keys) & {folder + name for name in entry.unreferenced}
        expired = {key for key in still if self._is_expired(entry.unreferenced[key.removeprefix(folder)], state)}
        # The objects of an image without a record are deleted together: the rest would be useless.
        due = expired if image or expired == keys else set[str]()
        is_lost = image is not None and entry.lost_since is not None and image.original_key not in keys
        is_lost_due = is_lost and entry.lost_since is not None and self._is_expired(entry.lost_since, state)
        return _Due(
            keys=frozenset(due),
            has_original=image is None and any(key.startswith(f"{folder}original.") for key in due),
            unreferenced_waiting=len(still) - len(due),
            outdated=entry.unreferenced.keys() - last_parts(still),
            is_lost=is_lost_due,
            lost_waiting=is_lost and not is_lost_due,
        )

    def _is_expired(self, first_seen: datetime, state: ReconcileState) -> bool:
        # The time at which the run began, so that its slices agree, however long it takes.
        return state.started_at is not None and max(first_seen, state.unbroken_since) <= state.started_at - self._grace

    async def _settle(self, entry: Discrepancy, work: Slice) -> None:
        times = filter(None, (*entry.unreferenced.values(), entry.lost_since))
        if not any(self._is_expired(time, work.state) for time in times):
            return
        image = await find_record(self._ports.images, entry.owner_id, entry.image_id)
        due = await self._due(entry, image, work.state)
        if due.keys and not work.state.counts.get("deletions_withheld"):
            if image:
                await self._delete(entry, due, work)
            else:
                await self._delete_all(entry, due, work)
        if image and due.is_lost and not work.state.counts.get("records_kept"):
            await self._remove(image, work)

    async def _delete_all(self, entry: Discrepancy, due: _Due, work: Slice) -> None:
        """Delete the objects of an image without a record, while a tombstone prevents its record from being added."""
        tombstone = Tombstone(entry.owner_id, entry.image_id, deleted_at=work.now)
        if await self._ports.tombstones.add_tombstone(tombstone):
            await self._delete(entry, due, work)
            await self._ports.tombstones.remove_tombstone(tombstone)

    async def _delete(self, entry: Discrepancy, due: _Due, work: Slice) -> None:
        await self._ports.store.delete(due.keys)
        await self._ports.table.forget_unreferenced(entry.owner_id, entry.image_id, last_parts(due.keys))
        work.report.unreferenced_deleted += len(due.keys)
        _log.info("reconcile.unreferenced_deleted", image_id=entry.image_id, objects=len(due.keys))

    async def _remove(self, image: Image, work: Slice) -> None:
        try:
            events = await self._ports.events.of_deletion(image.owner_id, image.id)
            await self._ports.images.remove(image.owner_id, image.id, events=events)
        except ImageMissing:
            return
        work.report.records_removed += 1
        _log.warning("reconcile.record_removed", image_id=image.id, owner_id=image.owner_id)
        await self._ports.store.delete(image.object_keys)
        await self._ports.table.forget_lost(image.owner_id, image.id)


def apply_brakes(state: ReconcileState, counts: Mapping[str, int], *, now: datetime) -> ReconcileState:
    """Return the state with which the discrepancies are settled: what is withheld, and what will be deleted today.

    The deletions are counted before they begin: after a crash their number may be too high, but never too low.
    """
    originals_due, lost_due, images = (counts.get(name, 0) for name in ("originals_due", "lost_due", "images"))
    deleted = recently_deleted(state, now=now)
    allowed = max(_BRAKE_FLOOR, (images + originals_due) * _ORIGINALS_SHARE)
    is_withheld = bool(originals_due) and sum(deleted.values()) + originals_due > allowed and not state.confirmed
    is_kept = lost_due > max(_BRAKE_FLOOR, images * _LOST_SHARE) and not state.confirmed
    if originals_due and not is_withheld:
        today = f"{now:%Y-%m-%d}"
        deleted[today] = deleted.get(today, 0) + originals_due
    withheld = {
        "deletions_withheld": originals_due if is_withheld else 0,
        "records_kept": lost_due if is_kept else 0,
    }
    return dataclasses.replace(state, originals_deleted=deleted, counts={**counts, **withheld})


def recently_deleted(state: ReconcileState, *, now: datetime) -> dict[str, int]:
    """Return how many unreferenced originals were deleted on each of the last seven days."""
    first_day = f"{now - timedelta(days=_BRAKE_DAYS):%Y-%m-%d}"
    return {day: count for day, count in state.originals_deleted.items() if day > first_day}
