"""Wraps a real adapter so that some of its calls fail, before or after they are executed."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from app.domain.errors import DependencyUnavailable


class Failing:
    """`Failing(store, on="put", times=1)` fails the first call of `put` and passes everything else on.

    With `after=True` the call is carried out before it fails, as when only the answer is lost.
    """

    def __init__(self, real: Any, *, on: str, times: int = 1_000_000, after: bool = False) -> None:
        self._real = real
        self._on = on
        self._times = times
        self._after = after
        self.failed = 0

    def __getattr__(self, name: str) -> Any:
        method = getattr(self._real, name)
        if name != self._on or not inspect.iscoroutinefunction(method):
            return method
        return self._failing(method)

    def _failing(self, method: Callable[..., Any]) -> Callable[..., Any]:
        async def call(*args: Any, **kwargs: Any) -> Any:
            if self.failed >= self._times:
                return await method(*args, **kwargs)
            self.failed += 1
            if self._after:
                await method(*args, **kwargs)
            raise DependencyUnavailable("test")

        return call
