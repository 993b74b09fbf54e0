"""Tests of the processing of items in batches."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from app.common.batches import for_each_batch
from app.domain.errors import DependencyUnavailable


async def numbers(count: int, *, fails: bool = False) -> AsyncIterator[int]:
    for number in range(count):
        yield number
    if fails:
        raise DependencyUnavailable("store")


async def test_every_item_is_in_one_batch():
    batches: list[Sequence[int]] = []

    async def handle(batch: Sequence[int]) -> None:
        batches.append(batch)

    await for_each_batch(numbers(7), handle, size=3, concurrency=2)
    assert batches == [[0, 1, 2], [3, 4, 5], [6]]
    await for_each_batch(numbers(0), handle, size=3, concurrency=2)
    assert len(batches) == 3


async def test_a_limited_number_of_batches_is_handled_at_the_same_time():
    running, most = 0, 0

    async def handle(_: Sequence[int]) -> None:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1

    await for_each_batch(numbers(40), handle, size=2, concurrency=4)
    assert most == 4


@pytest.mark.parametrize("fails", [True, False], ids=["items", "handle"])
async def test_first_error_is_raised(fails: bool):  # noqa: FBT001
    async def handle(_: Sequence[int]) -> None:
        if not fails:
            raise DependencyUnavailable("store")
        await asyncio.Event().wait()

    with pytest.raises(DependencyUnavailable):
        await for_each_batch(numbers(4, fails=fails), handle, size=2, concurrency=2)
