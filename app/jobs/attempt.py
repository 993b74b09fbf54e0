"""One attempt at a job, for as long as its lease lasts."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from app.domain.claims import ClaimLost
from app.domain.events import Event
from app.domain.jobs import Job, JobStatus
from app.ports.clock import Clock
from app.ports.tables import JobTable

LEASE_SECONDS = 20
"""How long after a worker's death its job is considered abandoned."""
MARGIN_SECONDS = 5
"""How long before the end of its lease an attempt stops if it could not renew the lease."""
_RENEWED_AFTER_SECONDS = 5
"""A report of progress renews a lease that was last renewed longer ago. Each renewal costs two writes of an index."""


class Attempt:
    def __init__(
        self,
        table: JobTable,
        job: Job,
        deadline: asyncio.Timeout,
        *,
        clock: Clock,
        must_end_at: float | None = None,
    ) -> None:
        """`must_end_at` is the time of the event loop at which the job's handler is canceled, if there is a limit."""
        self._table = table
        self._clock = clock
        self._saving = asyncio.Lock()
        self._deadline = deadline
        self.must_end_at = must_end_at
        self.job = job

    def is_out_of_time(self) -> bool:
        return self.must_end_at is not None and asyncio.get_running_loop().time() >= self.must_end_at

    async def report(
        self, *, progress: int | None = None, image_id: str | None = None, description: str | None = None
    ) -> None:
        """Save the progress (percent), the image that the job creates and its description.

        A report without changes renews the lease; another one only if that was not done in the last seconds.

        Raises ClaimLost.
        """
        changes = {"progress": progress, "image_id": image_id, "description": description}
        given: dict[str, Any] = {name: value for name, value in changes.items() if value is not None}
        if given and self._was_renewed_recently():
            async with self._saving:
                await self._save(dataclasses.replace(self.job, **given, updated_at=self._clock()))
        else:
            await self.save(due_in=LEASE_SECONDS, **given)

    async def save(
        self,
        *,
        due_in: float | None,
        events: Sequence[Event] = (),
        **changes: Any,  # noqa: ANN401 - fields of Job
    ) -> None:
        """Save changed fields and `events`; the job is due `due_in` seconds from now, or never again.

        Raises ClaimLost.
        """
        # Renewals and reports may run concurrently: the record must never return to an earlier state.
        async with self._saving:
            started = asyncio.get_running_loop().time()
            now = self._clock()
            due_at = None if due_in is None else now + timedelta(seconds=due_in)
            await self._save(dataclasses.replace(self.job, **changes, due_at=due_at, updated_at=now), events)
            if self.job.status is JobStatus.RUNNING:
                self._deadline.reschedule(started + LEASE_SECONDS - MARGIN_SECONDS)

    async def _save(self, job: Job, events: Sequence[Event] = ()) -> None:
        if not await self._table.save_job(job, events=events):
            raise ClaimLost
        self.job = job

    def _was_renewed_recently(self) -> bool:
        deadline = self._deadline.when()
        if deadline is None:
            return False
        renewed_at = deadline - LEASE_SECONDS + MARGIN_SECONDS
        return asyncio.get_running_loop().time() < renewed_at + _RENEWED_AFTER_SECONDS
