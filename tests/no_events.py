"""Events for tests of parts that write events with their records: no endpoint is registered, so there are none."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.common.webhook_events import WebhookEvents
from app.domain.events import WebhookEndpoint


class _NoEndpoints:
    async def endpoints(self) -> Sequence[WebhookEndpoint]:
        return ()


_endpoints: Any = _NoEndpoints()
NO_EVENTS = WebhookEvents(_endpoints, clock=lambda: datetime.now(UTC))
