"""How often one user may ask for what is dear."""

from __future__ import annotations

from dataclasses import dataclass

from app.core.clock import Clock
from app.core.errors import TooManyAttempts
from app.core.models import User
from app.core.ports import AccountTable


@dataclass(frozen=True, slots=True)
class Rate:
    purpose: str
    limit: int
    window_seconds: int

    async def count(self, table: AccountTable, user: User, *, clock: Clock) -> None:
        """Raises TooManyAttempts."""
        now = clock()
        counted = await table.count_attempt(f"{self.purpose} {user.id}", now=now, window_seconds=self.window_seconds)
        if counted.count > self.limit:
            raise TooManyAttempts(retry_after=max(1, round((counted.resets_at - now).total_seconds())))
