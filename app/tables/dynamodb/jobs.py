"""JobTable in DynamoDB."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from app.domain.claims import RequestClaim
from app.domain.events import Event
from app.domain.jobs import DueJob, Job, JobStatus
from app.tables.dynamodb import keys
from app.tables.dynamodb.claims import add_new
from app.tables.dynamodb.due_index import oldest_due
from app.tables.dynamodb.events import put_events
from app.tables.dynamodb.items import job_from_item, job_item, update_of
from app.tables.dynamodb.table import ConditionFailed, DynamoDBTable
from app.tables.serializer import time_from_text

_ITEMS_PER_REQUEST = 250
"""How many jobs one request searches for those with a given status: about 100 kB."""
_FIXED_ATTRIBUTES = ("pk", "sk", "id", "owner_id", "kind", "created_at", "claim", "event_id")


class DynamoDBJobTable:
    def __init__(self, table: DynamoDBTable) -> None:
        self._table = table

    async def add_job(self, job: Job, *, claim: RequestClaim | None = None) -> None:
        await add_new(self._table, job_item(job), owner_id=job.owner_id, claim=claim)

    async def find_job(self, owner_id: str, job_id: str) -> Job | None:
        fields = await self._table.find(keys.job_key(owner_id, job_id))
        return None if fields is None else job_from_item(fields)

    async def page_jobs(
        self, owner_id: str, *, before: str | None, limit: int, status: JobStatus | None = None
    ) -> tuple[Sequence[Job], str | None]:
        request: dict[str, Any] = {
            "KeyConditionExpression": "#pk = :partition AND begins_with(#sk, :prefix)",
            "ScanIndexForward": False,
            "Limit": limit + 1,
        }
        values = {"partition": keys.user_partition(owner_id), "prefix": keys.JOB_PREFIX}
        if before is not None:
            # The key to start after need not exist.
            request["ExclusiveStartKey"] = keys.job_key(owner_id, before)
        if status is not None:
            # Limit counts the items that are read, not those that pass the filter.
            request |= {"FilterExpression": "#status = :status", "Limit": max(limit + 1, _ITEMS_PER_REQUEST)}
            values["status"] = status
        items, last_key = await self._table.query_page(values=values, **request)
        jobs = [job_from_item(fields) for fields in items[:limit]]
        if len(items) > limit:
            return jobs, jobs[-1].id
        return jobs, last_key["sk"].removeprefix(keys.JOB_PREFIX) if last_key else None

    async def claim_job(
        self, owner_id: str, job_id: str, *, claim: str, now: datetime, lease_until: datetime
    ) -> Job | None:
        try:
            fields = await self._table.update(
                keys.job_key(owner_id, job_id),
                UpdateExpression="SET #status = :running, #claim = :claim, #due_at = :lease_until, #updated_at = :now "
                "ADD #attempts :one",
                # A finished job has no due_at.
                ConditionExpression="#due_at <= :now",
                values={
                    "running": JobStatus.RUNNING,
                    "claim": claim,
                    "lease_until": lease_until,
                    "now": now,
                    "one": 1,
                },
            )
        except ConditionFailed:
            # The SDK may have retried a write that succeeded: check whether the job runs under our claim already.
            job = await self.find_job(owner_id, job_id)
            return job if job and job.status is JobStatus.RUNNING and job.claim == claim else None
        return job_from_item(fields)

    async def save_job(self, job: Job, *, events: Sequence[Event] = ()) -> bool:
        if job.claim is None:
            return False
        changes = {name: value for name, value in job_item(job).items() if name not in _FIXED_ATTRIBUTES}
        update = update_of(changes)
        update["values"] |= {"claimed": job.claim, "running": JobStatus.RUNNING}
        key, condition = keys.job_key(job.owner_id, job.id), "#claim = :claimed AND #status = :running"
        try:
            if events:
                action = {"Key": key, "ConditionExpression": condition, **update}
                await self._table.transact(("Update", action), *put_events(events))
            else:
                await self._table.update(key, ConditionExpression=condition, **update)
        except ConditionFailed:
            # The SDK may have retried a write that succeeded: check whether our update is already there.
            current = await self.find_job(job.owner_id, job.id)
            return current is not None and current == replace(job, kind=current.kind, created_at=current.created_at)
        return True

    async def due_jobs(self, *, before: datetime, limit: int) -> Sequence[DueJob]:
        found = await oldest_due(self._table, keys.DUE_JOBS, before=before, limit=limit)
        return [_due_job(fields) for fields in found]


def _due_job(fields: dict[str, Any]) -> DueJob:
    job_id = fields["sk"].removeprefix(keys.JOB_PREFIX)
    return DueJob(keys.user_of(fields["pk"]), job_id, time_from_text(fields["due_at"]))
