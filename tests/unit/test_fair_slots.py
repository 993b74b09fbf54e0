"""Tests of the order in which users get slots."""

from __future__ import annotations

import asyncio

import pytest

from app.domain.errors import Overloaded
from app.imaging.fair_slots import FairSlots


class Calls:
    """Calls that wait for a slot. `served` has them in the order in which they got one."""

    def __init__(self, slots: FairSlots) -> None:
        self.slots = slots
        self.served: list[str] = []

    async def start(self, user_id: str, number: int = 0) -> asyncio.Task[None]:
        async def call() -> None:
            await self.slots.acquire(user_id)
            self.served.append(f"{user_id}{number}")

        task = asyncio.create_task(call())
        await asyncio.sleep(0)
        return task

    async def release_all(self, number: int) -> None:
        for _ in range(number):
            self.slots.release()
            await asyncio.sleep(0)


async def test_users_are_served_in_turn():
    calls = Calls(FairSlots(1, queue_limit=100))
    for number in range(6):
        await calls.start("a", number)
    for user_id in ("b", "c", "b"):
        await calls.start(user_id, len(calls.served))
    await calls.release_all(8)
    assert calls.served == ["a0", "a1", "b1", "c1", "a2", "b1", "a3", "a4", "a5"]


async def test_one_users_many_calls_delay_another_user_by_one_rendering():
    calls = Calls(FairSlots(2, queue_limit=64))
    for number in range(64):
        await calls.start("a", number)
    await calls.start("b")
    await calls.release_all(2)
    assert "b0" in calls.served


async def test_a_full_queue_refuses_further_calls_of_those_who_wait_and_accepts_others():
    calls = Calls(FairSlots(1, queue_limit=2))
    for number in range(3):
        await calls.start("a", number)
    with pytest.raises(Overloaded):
        await calls.slots.acquire("a")
    for user_id in ("b", "c"):
        await calls.start(user_id)
    with pytest.raises(Overloaded):
        await calls.slots.acquire("d")
    await calls.release_all(4)
    assert calls.served == ["a0", "a1", "b0", "c0", "a2"]


async def test_a_canceled_call_takes_no_slot():
    calls = Calls(FairSlots(1, queue_limit=10))
    await calls.start("a")
    waiting = await calls.start("b")
    last = await calls.start("c")
    waiting.cancel()
    await asyncio.wait([waiting])
    await calls.release_all(1)
    assert calls.served == ["a0", "c0"]
    assert last.done()


async def test_a_call_that_is_canceled_when_its_turn_comes_passes_the_slot_on():
    calls = Calls(FairSlots(1, queue_limit=10))
    await calls.start("a")
    canceled = await calls.start("b")
    await calls.start("c")
    calls.slots.release()
    canceled.cancel()
    await asyncio.wait([canceled])
    await asyncio.sleep(0)
    assert calls.served == ["a0", "c0"]


async def test_a_released_slot_is_free_again():
    slots = FairSlots(1, queue_limit=1)
    for _ in range(3):
        await slots.acquire("a")
        slots.release()
