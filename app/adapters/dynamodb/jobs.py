"""The records of background jobs in DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.adapters.dynamodb.claims import add_new
from app.adapters.dynamodb.items import (
    DUE,
    DUE_JOBS,
    JOB_PREFIX,
    change_to,
    job_key,
    time_to_text,
    user_of,
    user_partition,
)
from app.adapters.dynamodb.records import changing_job_fields, job_from_fields, job_to_fields
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.jobs import DueJob, Job, JobStatus
from app.core.models import RequestClaim

_LOOKED_THROUGH = 250
"""How many jobs one request looks through for those of one status: some 100 kB."""


class DynamoDBJobTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_job(self, job: Job, *, claim: RequestClaim | None = None) -> None:
        await add_new(self._table, job_to_fields(job), owner_id=job.owner_id, claim=claim)

    async def find_job(self, owner_id: str, job_id: str) -> Job | None:
        fields = await self._table.find(job_key(owner_id, job_id))
        return None if fields is None else job_from_fields(fields)

    async def page_jobs(
        self, owner_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> Sequence[Job]:
        request: dict[str, Any] = {
            "KeyConditionExpression": "#pk = :partition AND begins_with(#sk, :prefix)",
            "ScanIndexForward": False,
            "Limit": limit,
        }
        values = {"partition": user_partition(owner_id), "prefix": JOB_PREFIX}
        if before is not None:
            # The key to start after need not exist.
            request["ExclusiveStartKey"] = job_key(owner_id, before)
        if status is not None:
            # Limit counts what is looked at, not what passes the filter.
            request |= {"FilterExpression": "#status = :status", "Limit": max(limit, _LOOKED_THROUGH)}
            values["status"] = status
        jobs: list[Job] = []
        async for items in self._table.query(values=values, **request):
            jobs += map(job_from_fields, items)
            if len(jobs) >= limit:
                break
        return jobs[:limit]

    async def claim_job(
        self, owner_id: str, job_id: str, *, claim: str, now: datetime, lease_until: datetime
    ) -> Job | None:
        try:
            fields = await self._table.update(
                job_key(owner_id, job_id),
                UpdateExpression="SET #status = :running, #claim = :claim, #due_at = :lease_until, #updated_at = :now "
                "ADD #attempts :one",
                # A job that is finished has no due_at.
                ConditionExpression="#due_at <= :now",
                values={
                    "running": JobStatus.RUNNING,
                    "claim": claim,
                    "lease_until": time_to_text(lease_until),
                    "now": time_to_text(now),
                    "one": 1,
                },
            )
        except ConditionFailedError:
            # The SDK repeats a request whose answer was lost: it may run under the claim because we claimed it.
            job = await self.find_job(owner_id, job_id)
            return job if job and job.status is JobStatus.RUNNING and job.claim == claim else None
        return job_from_fields(fields)

    async def save_job(self, job: Job) -> bool:
        if job.claim is None:
            return False
        change = change_to(changing_job_fields(job))
        change["values"] |= {"claimed": job.claim, "running": JobStatus.RUNNING}
        try:
            await self._table.update(
                job_key(job.owner_id, job.id),
                ConditionExpression="#claim = :claimed AND #status = :running",
                **change,
            )
        except ConditionFailedError:
            # Likewise: it may be as it was to be because we have saved it.
            there = await self.find_job(job.owner_id, job.id)
            return there is not None and there == replace(job, kind=there.kind, created_at=there.created_at)
        return True

    async def due_jobs(self, *, before: datetime, limit: int) -> Sequence[DueJob]:
        pages = self._table.query(
            IndexName=DUE_JOBS,
            KeyConditionExpression="#due = :due AND #due_at < :before",
            Limit=limit,
            values={"due": DUE, "before": time_to_text(before)},
        )
        jobs: list[DueJob] = []
        async for items in pages:
            jobs += map(_due_job, items)
            if len(jobs) >= limit:
                break
        return jobs


def _due_job(fields: dict[str, Any]) -> DueJob:
    return DueJob(
        owner_id=user_of(fields["pk"]),
        id=fields["sk"].removeprefix(JOB_PREFIX),
        due_at=datetime.fromisoformat(fields["due_at"]),
    )
