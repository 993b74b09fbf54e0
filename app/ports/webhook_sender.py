"""Sends requests to webhook endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol


class WebhookSender(Protocol):
    async def check_url(self, url: str) -> None:
        """Raises WebhookUrlRefused if no request may be sent to this URL, whatever its host resolves to."""
        ...

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        """Send a POST request and return the status of the response. Redirects are not followed.

        Raises WebhookUndelivered if the address is refused or cannot be reached, and WebhookTimedOut after ten seconds.
        """
        ...
