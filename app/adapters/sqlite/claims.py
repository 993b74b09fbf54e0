"""Checks, inside a write, that a claim is still held: see `ImageTable.add`."""

from __future__ import annotations

import sqlite3

from app.core.jobs import JobStatus
from app.core.models import Claim, ClaimLost, RequestClaim

_MARK_REQUEST_DONE = "UPDATE once SET done = 1 WHERE owner_id = ? AND key = ? AND result_id = ?"
_HOLDS_JOB = "SELECT 1 FROM jobs WHERE owner_id = ? AND id = ? AND claim = ? AND status = ?"


def require_claim(db: sqlite3.Connection, owner_id: str, claim: Claim | None) -> None:
    """Mark a RequestClaim done. Raises ClaimLost unless the claim is held."""
    if claim is None:
        return
    if isinstance(claim, RequestClaim):
        is_held = db.execute(_MARK_REQUEST_DONE, (owner_id, claim.key, claim.result_id)).rowcount == 1
    else:
        values = (owner_id, claim.job_id, claim.claim, JobStatus.RUNNING)
        is_held = db.execute(_HOLDS_JOB, values).fetchone() is not None
    if not is_held:
        raise ClaimLost
