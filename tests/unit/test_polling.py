"""Tests of following the changes of a record by polling."""

from __future__ import annotations

import pytest

from app.domain.errors import DependencyUnavailable
from app.jobs import polling
from app.jobs.polling import poll_changes


@pytest.fixture(autouse=True)
def fast_polling(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(polling, "_FIRST_PAUSE_SECONDS", 0.001)
    monkeypatch.setattr(polling, "_MAX_PAUSE_SECONDS", 0.002)


class Record:
    """Returns the values in turn, then the last one again and again. An exception is raised instead."""

    def __init__(self, *values: int | Exception) -> None:
        self.values = list(values)
        self.reads = 0

    async def read(self) -> int:
        self.reads += 1
        value = self.values.pop(0) if len(self.values) > 1 else self.values[0]
        if isinstance(value, Exception):
            raise value
        return value


def is_nine(value: int) -> bool:
    return value == 9


async def test_each_different_value_is_yielded_once_until_a_value_is_final():
    record = Record(1, 1, 2, 2, 2, 3, 9, 10)
    assert [value async for value in poll_changes(record.read, is_final=is_nine, seconds=3600)] == [1, 2, 3, 9]


async def test_a_final_value_ends_the_polling_immediately():
    record = Record(9)
    assert [value async for value in poll_changes(record.read, is_final=is_nine, seconds=3600)] == [9]
    assert record.reads == 1


@pytest.mark.parametrize("seconds", [0, 0.01])
async def test_polling_ends_after_the_given_time(seconds: float):
    record = Record(1)
    assert [value async for value in poll_changes(record.read, is_final=is_nine, seconds=seconds)] == [1]


async def test_an_error_of_a_read_ends_the_polling():
    record = Record(1, DependencyUnavailable("table"))
    changes = poll_changes(record.read, is_final=is_nine, seconds=3600)
    assert await anext(changes) == 1
    with pytest.raises(DependencyUnavailable):
        await anext(changes)
