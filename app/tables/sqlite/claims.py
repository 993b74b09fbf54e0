"""Writes that require a claim: see `ImageTable.add`."""

from __future__ import annotations

import sqlite3

from app.domain.claims import Claim, ClaimLost, RequestClaim
from app.domain.jobs import JobStatus

_MARK_REQUEST_DONE = "UPDATE idempotency SET done = 1 WHERE owner_id = ? AND key = ? AND result_id = ?"
_HOLDS_JOB = "SELECT 1 FROM jobs WHERE owner_id = ? AND id = ? AND claim = ? AND status = ?"


def require_claim(db: sqlite3.Connection, owner_id: str, claim: Claim | None) -> None:
    """Raise ClaimLost unless the claim is held. A RequestClaim is marked done."""
    if claim is None:
        return
    if isinstance(claim, RequestClaim):
        is_held = db.execute(_MARK_REQUEST_DONE, (owner_id, claim.key, claim.result_id)).rowcount == 1
    else:
        values = (owner_id, claim.job_id, claim.claim, JobStatus.RUNNING)
        is_held = db.execute(_HOLDS_JOB, values).fetchone() is not None
    if not is_held:
        raise ClaimLost
