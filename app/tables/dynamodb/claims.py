"""Writes that require a claim: see `ImageTable.add`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.domain.claims import Claim, ClaimLost, RequestClaim
from app.domain.jobs import JobStatus
from app.tables.dynamodb.keys import idempotency_key, job_key
from app.tables.dynamodb.table import Action, ConditionFailed, DynamoDBTable


def require_claim(owner_id: str, claim: Claim) -> Action:
    """Return the action that makes a transaction fail unless the claim is held. It marks a RequestClaim done."""
    if isinstance(claim, RequestClaim):
        return "Update", {
            "Key": idempotency_key(owner_id, claim.key),
            "UpdateExpression": "SET #done = :done",
            "ConditionExpression": "#result_id = :result_id",
            "values": {"done": True, "result_id": claim.result_id},
        }
    return "ConditionCheck", {
        "Key": job_key(owner_id, claim.job_id),
        "ConditionExpression": "#claim = :claim AND #status = :running",
        "values": {"claim": claim.claim, "running": JobStatus.RUNNING},
    }


async def add_new(table: DynamoDBTable, item: Mapping[str, Any], *, owner_id: str, claim: RequestClaim | None) -> None:
    """Add `item` unless it exists; with `claim`, only while the claim is held. Raises ClaimLost."""
    put = {"Item": item, "ConditionExpression": "attribute_not_exists(#pk)"}
    try:
        if claim is None:
            await table.put(item, ConditionExpression="attribute_not_exists(#pk)")
        else:
            await table.transact(("Put", put), require_claim(owner_id, claim))
    except ConditionFailed as refusal:
        exists = refusal.failed[0]
        if not exists:
            raise ClaimLost from refusal
