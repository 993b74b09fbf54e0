"""Opens the sender of webhooks when it is first used."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager

from app import __version__
from app.container.on_demand import OnDemand, Open
from app.ports.webhook_sender import WebhookSender
from app.settings import Settings


@asynccontextmanager
async def open_webhook_sender(settings: Settings) -> AsyncIterator[WebhookSender]:
    def load() -> Open[WebhookSender]:
        from app.webhooks.sender import open_webhook_sender

        user_agent = f"ImageUploadService/{__version__}"
        return lambda: open_webhook_sender(user_agent=user_agent, allow_private=settings.webhook_allow_private)

    async with AsyncExitStack() as stack:
        yield _SenderOnDemand(OnDemand(load, stack))


class _SenderOnDemand:
    def __init__(self, sender: OnDemand[WebhookSender]) -> None:
        self._sender = sender

    async def check_url(self, url: str) -> None:
        await (await self._sender.get()).check_url(url)

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        return await (await self._sender.get()).send(url, headers=headers, body=body)
