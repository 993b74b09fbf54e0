"""The checkpoint of a reconcile run: begin a run or join one, claim a segment, save what a slice has done.

It is one record, which is saved only over the version that was read. Several processes can therefore work on one run.
"""

from __future__ import annotations

import asyncio
import dataclasses
from contextlib import suppress
from datetime import datetime, timedelta

import structlog

from app.consistency.expiry import RETENTION_BY_PREFIX
from app.consistency.key_ranges import END_OF_IMAGES, middle
from app.consistency.ports import ReconcilePorts
from app.consistency.settlement import apply_brakes, recently_deleted
from app.consistency.slices import Slice
from app.domain.ids import new_id
from app.domain.object_keys import IMAGES_PREFIX
from app.domain.reconciliation import ReconcileState, ReconcileStep, Segment

RUNS_PREFIX = "reconcile/"
PARALLEL = 8
"""How many segments one process works on concurrently, and into how many the walk of objects is divided."""
_LEASE = timedelta(seconds=60)
"""Much longer than a slice. After a worker was killed, its segment is taken over when its lease has ended."""
_POLL_SECONDS = 1
_MAX_AGE = timedelta(days=7)
"""A run that began this long ago is replaced instead of continued."""
_MAX_CONFIRMED_AGE = timedelta(days=1)
"""The same for a run that an operator confirmed, because the confirmation is not for what is found later."""

_log = structlog.stdlib.get_logger(__name__)


class RunProgress:
    def __init__(self, ports: ReconcilePorts) -> None:
        self._ports = ports
        # The tasks of this process do not compete with one another to save the next version.
        self._saving = asyncio.Lock()
        self._changed = asyncio.Event()

    async def begin(self, *, confirm: bool) -> ReconcileState:
        """Return the run that is in progress, or begin one.

        With `confirm`, a run in progress that was not confirmed is replaced: it may already have withheld deletions.
        """
        while True:
            previous, now = await self._ports.table.reconcile_state(), await self._ports.store.now()
            is_unbroken = previous is not None and await self._has_marker(previous)
            if previous and is_unbroken and _can_continue(previous, confirm=confirm, now=now):
                return previous
            if previous and not is_unbroken:
                # One of the two was restored from a backup. The grace periods in the table cannot be trusted then, so
                # all of them start again.
                _log.warning("reconcile.restored_copy", last_run=previous.run_id)
            state = _first_state(previous, is_unbroken=is_unbroken, confirm=confirm, now=now)
            # The marker is written first: after a crash in between, the previous one is still valid.
            await self._ports.store.put(RUNS_PREFIX + state.run_id, b"", content_type="text/plain")
            if await self._save(state):
                if previous:
                    await self._ports.store.delete([RUNS_PREFIX + previous.run_id])
                return state
            await self._ports.store.delete([RUNS_PREFIX + state.run_id])

    async def claim(self, *, ends_at: float) -> tuple[ReconcileState, Slice | None]:
        """Return the run's state, and a slice of a segment that nobody works on, or None if there is none."""
        async with self._saving:
            while (state := await self._read()).segments:
                now = await self._ports.store.now()
                free = next((s for s in state.segments if s.leased_until is None or s.leased_until <= now), None)
                if free is None:
                    break
                claimed = dataclasses.replace(free, claim=new_id(), leased_until=now + _LEASE)
                if await self._save(_replace_segment(state, claimed.name, claimed)):
                    return state, Slice(state, claimed, now, ends_at, after=claimed.after)
        return state, None

    async def save(self, work: Slice) -> None:
        """Save the checkpoint of a slice and release its segment. When a step is complete, the next one begins.

        If another worker has taken the segment over, or the run was replaced, nothing is saved.
        """
        async with self._saving:
            while _holds(state := await self._read(), work):
                if await self._save(await self._with_checkpoint(state, work)):
                    break
        self._changed.set()
        self._changed = asyncio.Event()

    async def wait(self) -> None:
        """Return when this process has saved a checkpoint, or after a second: another process may have saved one."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_POLL_SECONDS):
                await self._changed.wait()

    async def _with_checkpoint(self, state: ReconcileState, work: Slice) -> ReconcileState:
        counts = dict(state.counts)
        work.add_to(counts)
        remaining = [] if work.done else _split(work, parts=PARALLEL - len(state.segments) + 1)
        state = dataclasses.replace(_replace_segment(state, work.segment.name, *remaining), counts=counts)
        while not state.segments and state.step is not ReconcileStep.FINISHED:
            state = await self._next_step(state)
        return state

    async def _next_step(self, state: ReconcileState) -> ReconcileState:
        steps = list(ReconcileStep)
        step = steps[steps.index(state.step) + 1]
        names = {
            ReconcileStep.OWNERS: ["all"],
            ReconcileStep.REVIEW: self._ports.table.shards,
            ReconcileStep.SETTLE: self._ports.table.shards,
            ReconcileStep.EXPIRE: list(RETENTION_BY_PREFIX),
            ReconcileStep.FINISHED: [],
        }[step]
        if step is ReconcileStep.SETTLE:
            state = apply_brakes(state, state.counts, now=await self._ports.store.now())
            if originals := state.counts["deletions_withheld"]:
                _log.error("reconcile.deletions_withheld", originals=originals)
            if records := state.counts["records_kept"]:
                _log.error("reconcile.records_kept", records=records)
        return dataclasses.replace(state, step=step, segments=tuple(map(Segment, names)))

    async def _read(self) -> ReconcileState:
        state = await self._ports.table.reconcile_state()
        if state is None:
            raise RuntimeError("The state of the reconcile run was deleted while it was in progress.")
        return state

    async def _save(self, state: ReconcileState) -> bool:
        state = dataclasses.replace(state, version=state.version + 1)
        # If only the response to a successful save was lost, its repetition is refused.
        return await self._ports.table.save_reconcile_state(state) or await self._ports.table.reconcile_state() == state

    async def _has_marker(self, state: ReconcileState) -> bool:
        return await self._ports.store.size(RUNS_PREFIX + state.run_id) is not None


def _can_continue(state: ReconcileState, *, confirm: bool, now: datetime) -> bool:
    max_age = _MAX_CONFIRMED_AGE if state.confirmed else _MAX_AGE
    is_recent = state.started_at is not None and now - state.started_at < max_age
    return state.step is not ReconcileStep.FINISHED and is_recent and (state.confirmed or not confirm)


def _first_state(previous: ReconcileState | None, *, is_unbroken: bool, confirm: bool, now: datetime) -> ReconcileState:
    return ReconcileState(
        run_id=new_id(),
        unbroken_since=previous.unbroken_since if previous and is_unbroken else now,
        originals_deleted=recently_deleted(previous, now=now) if previous else {},
        version=previous.version if previous else 0,
        started_at=now,
        confirmed=confirm,
        step=ReconcileStep.COMPARE,
        segments=(Segment(END_OF_IMAGES, after=IMAGES_PREFIX),),
    )


def _holds(state: ReconcileState, work: Slice) -> bool:
    is_same_step = (state.run_id, state.step) == (work.state.run_id, work.state.step)
    return is_same_step and any(segment.claim == work.segment.claim for segment in state.segments)


def _replace_segment(state: ReconcileState, name: str, *segments: Segment) -> ReconcileState:
    others = tuple(segment for segment in state.segments if segment.name != name)
    return dataclasses.replace(state, segments=(*others, *segments))


def _split(work: Slice, *, parts: int) -> list[Segment]:
    """Return what remains of the segment, divided in up to `parts` if it is a range of keys.

    Each middle halves the space of keys, not the keys in it. Empty ranges are done at once and make room for others.
    """
    if work.state.step is not ReconcileStep.COMPARE:
        return [Segment(work.segment.name, work.after)]
    ends = [work.segment.name]
    while len(ends) < parts and (end := middle(work.after, ends[0])):
        ends.insert(0, end)
    return [Segment(end, after) for after, end in zip([work.after, *ends], ends, strict=False)]
