"""Downloads untrusted URLs into a file, by HTTP GET, from a few known hosts only."""

from __future__ import annotations

import asyncio
import base64
import math
import os
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import BinaryIO

import httpcore
import httpx
import structlog

from app.common.blocking_io import run_blocking_io
from app.common.hashing_writer import HashingWriter, write_stream
from app.common.ssrf_guard import AddressRefused, PublicAddressBackend, Resolver, resolve
from app.domain.errors import AppError, CatalogUnavailable, ImageRejected, ProductImageMissing

Hop = Callable[[str], Awaitable[None]]

FAILURES = (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, TimeoutError)
"""The errors that are raised if a host cannot be reached or its response ends early."""

_HTTPS_PORT = 443
_MAX_REDIRECTS = 3
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_TIMEOUTS = {"connect": 5.0, "read": 10.0, "write": 5.0, "pool": 5.0}
_CONNECTIONS = 10
_IDLE_CONNECTIONS = 2
_IDLE_SECONDS = 15
_DOWNLOAD_SECONDS = 20
_MAX_URL_LENGTH = 2000
_MAX_WAIT_SECONDS = 900

_REFUSED = "The product catalog refers to an image at an address that this service does not download from."
_ENCODED = "The host of the product's image sent it in an encoding that was not requested."
_GONE = "The product catalog refers to an image of this product that does not exist."
_UNREACHABLE = "The host of the product's image is not responding."


@dataclass(frozen=True, slots=True)
class Origin:
    scheme: str
    host: str
    port: int

    @classmethod
    def of(cls, url: httpx.URL) -> Origin:
        port = {"http": 80, "https": _HTTPS_PORT}.get(url.scheme, 0) if url.port is None else url.port
        return cls(url.scheme, url.raw_host.decode("ascii"), port)


@dataclass(frozen=True, slots=True)
class SafeResponse:
    """The response after all redirects. Its body can be read while the context is open."""

    status: int
    headers: httpx.Headers
    url: httpx.URL
    body: AsyncIterator[bytes]

    @property
    def is_unavailable(self) -> bool:
        return self.status == httpx.codes.TOO_MANY_REQUESTS or self.status >= httpx.codes.INTERNAL_SERVER_ERROR

    @property
    def retry_after(self) -> int | None:
        """The value of Retry-After, from 1 to 900 seconds."""
        value = self.headers.get("retry-after", "")
        try:
            seconds = (
                int(value) if value.isdigit() else (parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds()
            )
        except (ValueError, TypeError, OverflowError):  # The value is not a date, has no time zone, or is out of range.
            return None
        return max(1, min(math.ceil(seconds), _MAX_WAIT_SECONDS))


@asynccontextmanager
async def open_safe_client(
    *,
    user_agent: str,
    own: httpx.URL | None,
    tls: ssl.SSLContext | None = None,
    resolver: Resolver = resolve,
    network: httpcore.AsyncNetworkBackend | None = None,
) -> AsyncIterator[SafeClient]:
    """Open a client. `own` is a server of the operator: its address may be private, and its URL may have a password."""
    exempt = [(Origin.of(own).host, Origin.of(own).port)] if own else []
    # httpcore is used because it ignores proxies in the environment, follows no redirects and decompresses nothing.
    pool = httpcore.AsyncConnectionPool(
        ssl_context=tls or httpx.create_ssl_context(),
        max_connections=_CONNECTIONS,
        max_keepalive_connections=_IDLE_CONNECTIONS,
        keepalive_expiry=_IDLE_SECONDS,
        retries=1,  # The number of connection attempts; requests are not retried.
        network_backend=PublicAddressBackend(network or httpcore.AnyIOBackend(), resolver=resolver, exempt=exempt),
    )
    async with pool:
        yield SafeClient(pool, user_agent=user_agent, own=own)


class SafeClient:
    def __init__(self, pool: httpcore.AsyncConnectionPool, *, user_agent: str, own: httpx.URL | None) -> None:
        self._pool = pool
        self._user_agent = user_agent
        self._own = Origin.of(own) if own else None
        self._authorization = _basic(own) if own and own.userinfo else None
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()

    @asynccontextmanager
    async def get(
        self, url: str, *, hosts: Collection[str], before_hop: Hop | None = None
    ) -> AsyncIterator[SafeResponse]:
        """Open the response of `url`.

        The URL and each redirect must use HTTPS and one of `hosts`, or the operator's own server. Before each request,
        `before_hop` is called with the host, and its port if the URL contains one. Raises AddressRefused, and the
        errors in FAILURES.
        """
        for _ in range(1 + _MAX_REDIRECTS):
            checked = self._check(url, hosts=hosts)
            if before_hop:
                await before_hop(checked.netloc.decode("ascii"))
            async with self._send(checked) as response:
                if response.status not in _REDIRECTS:
                    yield response
                    return
                url = _join(checked, response.headers.get("location", ""))
        raise AddressRefused("too many redirects")

    async def download(self, url: str, file: BinaryIO, *, hosts: Collection[str], max_bytes: int) -> str:
        """Overwrite the open file with the image at `url` and return its SHA-256 (hex).

        Raises ImageRejected, ProductImageMissing and CatalogUnavailable.
        """
        try:
            async with asyncio.timeout(_DOWNLOAD_SECONDS), self.get(url, hosts=hosts) as response:
                _check_image(response, max_bytes=max_bytes)
                await run_blocking_io(os.ftruncate, file.fileno(), 0)
                writer = HashingWriter(file.fileno(), max_bytes=max_bytes, too_large=lambda: _too_large(max_bytes))
                sha256 = await write_stream(response.body, writer)
                if not writer.size:
                    raise ImageRejected("The product's image is empty.")
                return sha256
        except AddressRefused as error:
            self._log.warning("image.address_refused", url=url[:_MAX_URL_LENGTH], reason=str(error))
            raise ImageRejected(_REFUSED) from error
        except FAILURES as error:
            self._log.warning("image.host_unreachable", url=url[:_MAX_URL_LENGTH], error=repr(error))
            raise CatalogUnavailable(_UNREACHABLE) from error

    def _check(self, text: str, *, hosts: Collection[str]) -> httpx.URL:
        url = _parse(text)
        if url.userinfo:
            raise AddressRefused("the URL contains a user or a password")
        origin = Origin.of(url)
        if origin != self._own and (origin.host not in hosts or origin != Origin("https", origin.host, _HTTPS_PORT)):
            raise AddressRefused("the URL does not use HTTPS, or its host is not one of the catalog")
        return url

    @asynccontextmanager
    async def _send(self, url: httpx.URL) -> AsyncIterator[SafeResponse]:
        # The parts that httpx has parsed are used, so that the text of the URL is not parsed again in another way.
        target = httpcore.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path)
        headers = {
            "Host": url.netloc.decode("ascii"),
            "User-Agent": self._user_agent,
            "Accept": "*/*",
            "Accept-Encoding": "identity",
        }
        if self._authorization and Origin.of(url) == self._own:
            headers["Authorization"] = self._authorization
        async with self._pool.stream(
            "GET", target, headers=list(headers.items()), extensions={"timeout": _TIMEOUTS}
        ) as response:
            yield SafeResponse(response.status, httpx.Headers(response.headers), url, response.aiter_stream())


def _parse(text: str) -> httpx.URL:
    if len(text) > _MAX_URL_LENGTH:
        raise AddressRefused("the URL is too long")
    try:
        return httpx.URL(text)
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused("the URL is invalid") from error


def _join(url: httpx.URL, location: str) -> str:
    try:
        return str(url.join(_parse(location)))
    except (httpx.InvalidURL, ValueError) as error:
        raise AddressRefused("the URL of the redirect is invalid") from error


def _basic(url: httpx.URL) -> str:
    return "Basic " + base64.b64encode(f"{url.username}:{url.password}".encode()).decode("ascii")


def _check_image(response: SafeResponse, *, max_bytes: int) -> None:
    if response.is_unavailable:
        raise CatalogUnavailable(_UNREACHABLE, retry_after=response.retry_after)
    if response.status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
        raise ProductImageMissing(_GONE)
    if response.status != httpx.codes.OK:
        raise ImageRejected(f"The host of the product's image refused the request (status {response.status}).")
    if response.headers.get("content-encoding", "identity") != "identity":
        raise ImageRejected(_ENCODED)
    length = response.headers.get("content-length", "0")
    if length.isdigit() and int(length) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> AppError:
    return ImageRejected(f"The product's image is larger than {max_bytes:,} bytes.")
