"""WebhookSender over HTTP. Only public addresses are connected to, unless the operator allows private ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

import httpcore
import httpx

from app.common.ssrf_guard import AddressRefused, PublicAddressBackend, Resolver, resolve
from app.domain.errors import WebhookTimedOut, WebhookUndelivered, WebhookUrlRefused

_TIMEOUTS = {"connect": 5.0, "read": 10.0, "write": 5.0, "pool": 5.0}
_SEND_SECONDS = 10
_CONNECTIONS = 20
_IDLE_SECONDS = 15
_MAX_URL_LENGTH = 2000


@asynccontextmanager
async def open_webhook_sender(
    *, user_agent: str, allow_private: bool, resolver: Resolver = resolve
) -> AsyncIterator[HttpWebhookSender]:
    """Open a sender. With `allow_private`, addresses may be private and URLs may begin with http://."""
    network: httpcore.AsyncNetworkBackend = httpcore.AnyIOBackend()
    if not allow_private:
        network = PublicAddressBackend(network, resolver=resolver)
    # httpcore is used because it ignores proxies in the environment, follows no redirects and decompresses nothing.
    pool = httpcore.AsyncConnectionPool(
        ssl_context=httpx.create_ssl_context(),
        max_connections=_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
        network_backend=network,
    )
    async with pool:
        yield HttpWebhookSender(pool, user_agent=user_agent, allow_private=allow_private)


class HttpWebhookSender:
    def __init__(self, pool: httpcore.AsyncConnectionPool, *, user_agent: str, allow_private: bool) -> None:
        self._pool = pool
        self._user_agent = user_agent
        self._schemes = ("https", "http") if allow_private else ("https",)

    async def check_url(self, url: str) -> None:
        self._parse(url)

    async def send(self, url: str, *, headers: Mapping[str, str], body: bytes) -> int:
        try:
            parsed = self._parse(url)
        except WebhookUrlRefused as error:
            # The setting has changed since the endpoint was registered.
            raise WebhookUndelivered(error.detail) from error
        # The parts that httpx has parsed are used, so that the text of the URL is not parsed again in another way.
        target = httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)
        sent = {
            "Host": parsed.netloc.decode("ascii"),
            "User-Agent": self._user_agent,
            "Content-Type": "application/json",
            "Content-Length": str(len(body)),
            **headers,
        }
        try:
            async with (
                asyncio.timeout(_SEND_SECONDS),
                self._pool.stream(
                    "POST", target, headers=list(sent.items()), content=body, extensions={"timeout": _TIMEOUTS}
                ) as response,
            ):
                status: int = response.status
                return status
        except AddressRefused as error:
            raise WebhookUndelivered("The host of the endpoint has a private address.") from error
        except (httpcore.TimeoutException, TimeoutError) as error:
            raise WebhookTimedOut from error
        except (httpcore.NetworkError, httpcore.ProtocolError) as error:
            raise WebhookUndelivered("The endpoint cannot be reached.") from error

    def _parse(self, url: str) -> httpx.URL:
        """Raises WebhookUrlRefused."""
        try:
            parsed = httpx.URL(url)
        except (httpx.InvalidURL, ValueError) as error:
            raise WebhookUrlRefused("The URL is invalid.") from error
        if len(url) > _MAX_URL_LENGTH or not parsed.host or parsed.userinfo or parsed.fragment:
            raise WebhookUrlRefused(
                f"The URL needs a host, at most {_MAX_URL_LENGTH} characters, and no user, password or fragment."
            )
        if parsed.scheme not in self._schemes:
            raise WebhookUrlRefused(
                "The URL must begin with https://. Only with WEBHOOK_ALLOW_PRIVATE=true may it begin with http://."
            )
        return parsed
