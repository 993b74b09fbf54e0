"""The capacity of the index of due items and of one owner, by the model of DynamoDB: see docs/scale.md."""

from __future__ import annotations

import pytest

from app.tables.dynamodb import table
from bench.dynamodb_model import Limits
from bench.dynamodb_units import Items
from bench.scale import Outcome, render_jobs, upload_as_one_owner

A_FIFTH = Limits(units_per_second=200)
"""The rates of jobs below are a fifth of those of DynamoDB."""


def throttled(rate: float, *, shards: int, renews_always: bool = False) -> float:
    return render_jobs(rate, shards=shards, limits=A_FIFTH, renews_always=renews_always).refused


def test_a_rendering_job_costs_four_writes_of_the_index() -> None:
    assert throttled(40, shards=1) == 0
    assert throttled(40, shards=1, renews_always=True) > 0.1


@pytest.mark.slow
def test_more_jobs_than_a_partition_accepts_are_throttled_and_retried() -> None:
    outcome = render_jobs(100, shards=1, limits=A_FIFTH)
    assert outcome.refused > 0.1
    assert outcome.done_per_second < 55  # 200 units per second, and four for each job
    assert outcome.slowest_seconds > 1


@pytest.mark.slow
def test_16_shards_accept_more_than_ten_times_as_many_jobs_as_one() -> None:
    accepted_by_one, refused_by_one = 45.0, 60.0
    assert throttled(accepted_by_one, shards=1) < 0.01 < throttled(refused_by_one, shards=1)
    assert throttled(10 * refused_by_one, shards=16) < 0.01


@pytest.mark.slow
def test_one_owner_can_add_20_images_a_second_and_not_60(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(table, "_CALL_SECONDS", 10)
    few: Outcome = upload_as_one_owner(20, limits=Limits())
    assert few.failed == 0
    many = upload_as_one_owner(60, limits=Limits(), seconds=15)
    assert many.failed > 0
    assert many.done_per_second < 50


def test_units_of_writes_follow_from_the_size_and_the_index() -> None:
    items = Items()
    key = {"pk": {"S": "USER#ada"}, "sk": {"S": "JOB#1"}}

    def units(operation: str, **request: object) -> tuple[int, tuple[str, ...]]:
        planned = items.plan(operation, request)
        items.commit(planned)
        (write, _), *_ = planned
        return write.units, write.index_partitions

    due = {"due": {"S": "JOBS#01"}, "due_at": {"S": "noon"}}
    assert units("PutItem", Item={**key, **due}) == (1, ("JOBS#01",))
    names = {"#due": "due", "#due_at": "due_at", "#text": "text"}

    def update(expression: str, **values: str) -> tuple[int, tuple[str, ...]]:
        return units(
            "UpdateItem",
            Key=key,
            UpdateExpression=expression,
            ExpressionAttributeNames=names,
            ExpressionAttributeValues={f":{name}": {"S": value} for name, value in values.items()},
        )

    assert update("SET #due = :due, #due_at = :at", due="JOBS#01", at="noon") == (1, ())
    assert update("SET #due_at = :at", at="one") == (1, ("JOBS#01", "JOBS#01"))
    assert update("SET #text = :text", text="x" * 1500) == (2, ())
    assert units("TransactWriteItems", TransactItems=[{"ConditionCheck": {"Key": key}}]) == (4, ())
    assert update("REMOVE #due, #due_at, #text") == (2, ("JOBS#01",))
    assert units("DeleteItem", Key=key) == (1, ())
