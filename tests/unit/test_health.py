"""Tests of the readiness checks."""

from __future__ import annotations

import pytest

from app.container.health import at_most_every


async def test_the_result_of_a_check_is_repeated_for_a_while():
    now, calls, is_down = [0.0], [0], [True]

    async def check() -> None:
        calls[0] += 1
        if is_down[0]:
            raise OSError("down")

    cached = at_most_every(10, check, clock=lambda: now[0])
    for _ in range(3):
        with pytest.raises(OSError, match="down"):
            await cached()
    assert calls == [1]
    is_down[0] = False
    now[0] = 9.9
    with pytest.raises(OSError, match="down"):
        await cached()
    now[0] = 10
    await cached()
    await cached()
    assert calls == [2]
