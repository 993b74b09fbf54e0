"""Runs coroutines in model time: when all of them wait, the clock of the loop moves to the end of the shortest wait.

The result of a model therefore does not depend on the speed of the machine.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _ModelSelector(selectors.SelectSelector):
    """Returns at once, and reports how long it would have waited."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout:
            self._advance(timeout)
        return super().select(0)


class _ModelLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._now = 0.0
        super().__init__(_ModelSelector(self._advance))

    def time(self) -> float:
        return self._now

    def _advance(self, seconds: float) -> None:
        self._now += seconds


def run(main: Coroutine[Any, Any, T]) -> T:
    with asyncio.Runner(loop_factory=_ModelLoop) as runner:
        return runner.run(main)
