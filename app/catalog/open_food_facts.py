"""Products and their images from the Open Food Facts family, as a guest who asks little and keeps the answers."""

from __future__ import annotations

import asyncio
import html
import json
import math
import re
import unicodedata
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from typing import Any, BinaryIO
from weakref import WeakValueDictionary

import httpx
import structlog
from cachetools import TLRUCache

from app.catalog.circuit_breaker import CircuitBreaker
from app.catalog.rate_limiter import CatalogRateLimiter
from app.catalog.safe_download import FAILURES, SafeClient, SafeResponse, open_safe_client
from app.catalog.ssrf_guard import AddressRefused
from app.domain.errors import CatalogUnavailable, ImageRejected, ProductImageMissing, ProductUnknown
from app.domain.images import Source
from app.domain.products import Product

_DATABASES = {
    "world.openfoodfacts.org": "Open Food Facts",
    "world.openbeautyfacts.org": "Open Beauty Facts",
    "world.openpetfoodfacts.org": "Open Pet Food Facts",
    "world.openproductsfacts.org": "Open Products Facts",
}
API_HOSTS = frozenset(_DATABASES)
"""With product_type=all a product is redirected to the database that it is in."""
IMAGE_HOSTS = frozenset(host.replace("world.", "images.") for host in _DATABASES)
_FIELDS = "code,product_name,brands,image_front_url,selected_images,product_type"
_LICENCE = "CC BY-SA 3.0"
"""Of the product images: https://world.openfoodfacts.org/data"""

_MAX_ANSWER_BYTES = 256 * 1024
_CALL_SECONDS = 20
_MAX_CACHED = 10_000
_FOUND_SECONDS = 24 * 3600
_NOT_FOUND_SECONDS = 3600
_MAX_WORDS = 200
_THROTTLED_SECONDS = 60

_BUSY = "The product catalogue asks to wait."
_RESTING = "The product catalogue has not been answering. It is asked again in a moment."

Known = Product | type[ProductUnknown] | type[ProductImageMissing]


@asynccontextmanager
async def open_food_facts(
    base_url: str,
    *,
    user_agent: str,
    limiter: CatalogRateLimiter,
    api_hosts: Collection[str] = API_HOSTS,
    image_hosts: Collection[str] = IMAGE_HOSTS,
) -> AsyncIterator[OpenFoodFactsCatalog]:
    """`base_url` may be a server of the operator's own: wherever it is, it is asked, and none of `api_hosts`.

    Raises ValueError for a `base_url` that is no web address and for a `user_agent` that no header can carry.
    """
    base = httpx.URL(base_url)
    if base.scheme not in ("http", "https") or not base.host:
        raise ValueError("the catalogue's URL begins with https:// or http:// and a host")
    if not (user_agent.isascii() and user_agent.isprintable() and user_agent.strip()):
        raise ValueError("the catalogue's User-Agent has printable ASCII characters only, and at least one")
    is_own = base.scheme != "https" or base.port is not None or base.host not in api_hosts
    async with open_safe_client(user_agent=user_agent.strip(), own=base if is_own else None) as client:
        yield OpenFoodFactsCatalog(
            client,
            base_url=base,
            limiter=limiter,
            breaker=CircuitBreaker(),
            api_hosts=() if is_own else api_hosts,
            image_hosts=image_hosts,
        )


class OpenFoodFactsCatalog:
    def __init__(
        self,
        client: SafeClient,
        *,
        base_url: httpx.URL,
        limiter: CatalogRateLimiter,
        breaker: CircuitBreaker,
        api_hosts: Collection[str],
        image_hosts: Collection[str],
    ) -> None:
        self._client = client
        self._base_url = str(base_url.copy_with(userinfo=b"", query=None, fragment=None)).rstrip("/")
        self._limiter = limiter
        self._breaker = breaker
        self._api_hosts = api_hosts
        self._image_hosts = image_hosts
        self._cache: TLRUCache[str, Known] = TLRUCache(_MAX_CACHED, ttu=_expiry)
        self._asking: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()

    async def get(self, ean: str) -> Product:
        known = self._cache.get(ean)
        if known is None:
            # Of several that want the same product at once, one asks and the others find the response kept.
            async with self._asking.setdefault(ean, asyncio.Lock()):
                known = self._cache.get(ean) or await self._ask(ean)
        if isinstance(known, Product):
            return known
        raise known

    async def download(self, product: Product, file: BinaryIO, *, max_bytes: int) -> str:
        # The URL given is that of the image 400 pixels high. The whole one stands beside it
        # (https://openfoodfacts.github.io/openfoodfacts-server/api/how-to-download-images/).
        whole = re.sub(r"\.400\.jpg\Z", ".full.jpg", product.image_url)
        if whole != product.image_url:
            try:
                return await self._client.download(whole, file, hosts=self._image_hosts, max_bytes=max_bytes)
            except (ImageRejected, ProductImageMissing) as error:
                self._log.info("image.whole_not_taken", ean=product.source.ean, code=error.code)
        return await self._client.download(product.image_url, file, hosts=self._image_hosts, max_bytes=max_bytes)

    async def _ask(self, ean: str) -> Known:
        wait = self._breaker.try_enter()
        if wait:
            raise CatalogUnavailable(_RESTING, retry_after=math.ceil(wait), attempted=False)
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                known = await self._request(ean)
        except (AddressRefused, ValueError, RecursionError, *FAILURES) as error:
            self._log.warning("catalog.answer_failed", ean=ean, error=repr(error))
            self._breaker.failed()
            raise CatalogUnavailable from error
        except CatalogUnavailable as error:
            if error.attempted:
                self._log.warning("catalog.answer_refused", ean=ean, retry_after=error.retry_after)
                self._breaker.failed()
            raise
        self._breaker.succeeded()
        self._cache[ean] = known
        return known

    async def _request(self, ean: str) -> Known:
        """Raises ValueError for an response that is not one of the catalogue."""
        url = f"{self._base_url}/api/v2/product/{ean}?product_type=all&fields={_FIELDS}"
        async with self._client.get(url, hosts=self._api_hosts, before_hop=self._limiter.acquire) as response:
            if response.is_unavailable:
                throttled = _THROTTLED_SECONDS if response.status == httpx.codes.TOO_MANY_REQUESTS else None
                raise CatalogUnavailable(_BUSY, retry_after=response.retry_after or throttled)
            fields = _parse(await _read(response))
            product = fields.get("product")
            if fields.get("status") in (0, "0"):
                return ProductUnknown
            if response.status != httpx.codes.OK or not isinstance(product, dict):
                raise ValueError(f"status {response.status}, and neither a product nor the word that there is none")
        image_url = _image_url(product)
        return Product(self._source(ean, product, response.url), image_url) if image_url else ProductImageMissing

    def _source(self, ean: str, product: Mapping[str, Any], url: httpx.URL) -> Source:
        database = _DATABASES.get(url.host, "Open Food Facts")
        brands = product.get("brands")
        return Source(
            ean=ean,
            url=str(url.copy_with(path=f"/product/{ean}", query=None, fragment=None)),
            product_name=_words(product.get("product_name")),
            brand=_words(brands.split(",")[0]) if isinstance(brands, str) else None,
            licence=_LICENCE,
            attribution=f"Photo: {database} contributors",
        )


def _expiry(_ean: str, known: Known, now: float) -> float:
    return now + (_FOUND_SECONDS if isinstance(known, Product) else _NOT_FOUND_SECONDS)


async def _read(response: SafeResponse) -> bytes:
    body = bytearray()
    async for chunk in response.body:
        body += chunk
        if len(body) > _MAX_ANSWER_BYTES:
            raise ValueError(f"more than {_MAX_ANSWER_BYTES:,} bytes")
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("the JSON is no object")  # noqa: TRY004 # what is wrong is what came, not the code
    return fields


def _image_url(product: Mapping[str, Any]) -> str | None:
    front = product.get("image_front_url")
    if isinstance(front, str) and front:
        return front
    selected: Any = product.get("selected_images")
    for name in ("front", "display"):
        selected = selected.get(name) if isinstance(selected, dict) else None
    urls = selected.values() if isinstance(selected, dict) else ()
    return next((url for url in urls if isinstance(url, str) and url), None)


def _words(text: object) -> str | None:
    """Return the text fit to be shown: anybody may have typed it."""
    if not isinstance(text, str):
        return None
    # Names come with HTML entities in them, controls and invisible marks would make them read as others.
    characters = html.unescape(text[: 10 * _MAX_WORDS])
    shown = "".join(" " if c.isspace() else c for c in characters if c.isspace() or unicodedata.category(c)[0] != "C")
    return " ".join(shown.split())[:_MAX_WORDS].rstrip() or None
