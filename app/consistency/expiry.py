"""The last step of a reconcile run: deletes objects that are kept for a limited time only."""

from __future__ import annotations

from app.consistency.ports import ReconcilePorts
from app.consistency.slices import Slice
from app.domain.ids import is_id
from app.domain.object_keys import EXPORTS_PREFIX, INCOMING_PREFIX
from app.domain.retention import EXPORT_RETENTION, INCOMING_RETENTION

RETENTION_BY_PREFIX = {INCOMING_PREFIX: INCOMING_RETENTION, EXPORTS_PREFIX: EXPORT_RETENTION}
"""The lifecycle rules of infra/template.yaml do the same on S3."""
_KEYS_PER_DELETE = 1000


class Expiry:
    """A segment is one of the prefixes, and a position is a key."""

    def __init__(self, ports: ReconcilePorts) -> None:
        self._ports = ports

    async def delete(self, work: Slice) -> None:
        expired: list[str] = []
        before = work.now - RETENTION_BY_PREFIX[work.segment.name]
        last = work.after
        async for stored in self._ports.store.walk(work.segment.name, after=work.after):
            last = stored.key
            name = last.rpartition("/")[2].partition(".")[0]
            if is_id(name) and stored.modified_at < before:
                expired.append(last)
            if len(expired) == _KEYS_PER_DELETE or work.is_over:
                await self._delete(expired, last, work)
                expired = []
                if work.is_over:
                    return
        await self._delete(expired, last, work)
        work.done = True

    async def _delete(self, keys: list[str], last: str, work: Slice) -> None:
        if keys:
            await self._ports.store.delete(keys)
        work.report.expired_deleted += len(keys)
        work.after = last
