"""Writes that are made only while a claim is held: see `ImageTable.add`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from app.adapters.dynamodb.items import job_key, once_key
from app.adapters.dynamodb.table import ConditionFailedError, DynamoDBTable
from app.core.jobs import JobStatus
from app.core.models import Claim, ClaimLost, RequestClaim


def require_claim(owner_id: str, claim: Claim) -> tuple[str, Mapping[str, Any]]:
    """Return the action; that of a RequestClaim marks it done."""
    if isinstance(claim, RequestClaim):
        return "Update", {
            "Key": once_key(owner_id, claim.key),
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
    """Add `item` unless it is there already; with `claim` only while that is held. Raises ClaimLost."""
    put = {"Item": item, "ConditionExpression": "attribute_not_exists(#pk)"}
    try:
        if claim is None:
            await table.put(item, ConditionExpression="attribute_not_exists(#pk)")
        else:
            await table.transact(("Put", put), require_claim(owner_id, claim))
    except ConditionFailedError as refusal:
        is_there_already = refusal.failed[0]
        if not is_there_already:
            raise ClaimLost from refusal
