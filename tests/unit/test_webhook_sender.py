"""Tests of the requests to webhook endpoints."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from app.domain.errors import WebhookTimedOut, WebhookUndelivered, WebhookUrlRefused
from app.webhooks import sender as sender_module
from app.webhooks.sender import open_webhook_sender
from tests.webhook_receiver import webhook_receiver


@pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "169.254.169.254", "::1"])
async def test_private_addresses_are_refused(address: str):
    async def resolve(host: str, port: int) -> Sequence[str]:
        return [address]

    async with open_webhook_sender(user_agent="test", allow_private=False, resolver=resolve) as sender:
        with pytest.raises(WebhookUndelivered, match="private address"):
            await sender.send("https://hooks.example.com/", headers={}, body=b"{}")


async def test_http_needs_the_setting():
    async with open_webhook_sender(user_agent="test", allow_private=False) as sender:
        with pytest.raises(WebhookUrlRefused, match="WEBHOOK_ALLOW_PRIVATE"):
            await sender.check_url("http://hooks.example.com/")
        with pytest.raises(WebhookUndelivered, match="WEBHOOK_ALLOW_PRIVATE"):
            await sender.send("http://127.0.0.1:1/", headers={}, body=b"{}")


async def test_redirects_are_not_followed():
    with webhook_receiver() as receiver:
        receiver.status_of = lambda _: 302
        async with open_webhook_sender(user_agent="test", allow_private=True) as sender:
            assert await sender.send(receiver.url, headers={}, body=b"{}") == 401  # unsigned
            assert len(receiver.received) == 1


async def test_an_unreachable_endpoint_is_reported():
    async with open_webhook_sender(user_agent="test", allow_private=True) as sender:
        with pytest.raises(WebhookUndelivered, match="cannot be reached"):
            await sender.send("http://127.0.0.1:1/", headers={}, body=b"{}")


async def test_an_endpoint_that_does_not_respond_times_out(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sender_module, "_SEND_SECONDS", 0.01)
    with webhook_receiver() as receiver, receiver.lock:  # The receiver waits for the lock before it responds.
        receiver.secrets = []
        async with open_webhook_sender(user_agent="test", allow_private=True) as sender:
            with pytest.raises(WebhookTimedOut):
                await sender.send(receiver.url, headers={}, body=b"{}")
