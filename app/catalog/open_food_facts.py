"""Products and their images from Open Food Facts and its sister databases, with few requests and cached responses."""

from __future__ import annotations

import asyncio
import html
import json
import math
import re
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
from app.common.ssrf_guard import AddressRefused
from app.domain.errors import CatalogUnavailable, ImageRejected, ProductImageMissing, ProductUnknown
from app.domain.images import Source
from app.domain.products import Product
from app.domain.text import clean_line

_DATABASES = {
    "world.openfoodfacts.org": "Open Food Facts",
    "world.openbeautyfacts.org": "Open Beauty Facts",
    "world.openpetfoodfacts.org": "Open Pet Food Facts",
    "world.openproductsfacts.org": "Open Products Facts",
}
API_HOSTS = frozenset(_DATABASES)
"""With product_type=all, a request is redirected to the database that contains the product."""
IMAGE_HOSTS = frozenset(host.replace("world.", "images.") for host in _DATABASES)
_LANGUAGES = ("en", "fr", "de", "es", "it", "nl", "pt", "pl", "ro", "ru")
"""The languages of most product names."""
_FIELDS = ",".join(
    (
        *("code", "lang", "product_name", "brands", "image_front_url", "selected_images", "product_type"),
        *(f"product_name_{language}" for language in _LANGUAGES),
    )
)
_LICENSE = "CC BY-SA 3.0"
"""The license of the product images: https://world.openfoodfacts.org/data"""

_MAX_RESPONSE_BYTES = 256 * 1024
_CALL_SECONDS = 20
_MAX_CACHED = 10_000
_FOUND_SECONDS = 24 * 3600
_NOT_FOUND_SECONDS = 3600
_MAX_TEXT_LENGTH = 200
_THROTTLED_SECONDS = 60

_THROTTLED = "The product catalog limits the rate of requests."
_BREAKER_OPEN = "The product catalog did not respond to recent requests."

Lookup = Product | type[ProductUnknown] | type[ProductImageMissing]


@asynccontextmanager
async def open_food_facts(
    base_url: str,
    *,
    user_agent: str,
    limiter: CatalogRateLimiter,
    api_hosts: Collection[str] = API_HOSTS,
    image_hosts: Collection[str] = IMAGE_HOSTS,
) -> AsyncIterator[OpenFoodFactsCatalog]:
    """Open the catalog. `base_url` may be the operator's own server, which may have a private address.

    Raises ValueError for a `base_url` that is not a web address, and for a `user_agent` that is not valid in a header.
    """
    base = httpx.URL(base_url)
    if base.scheme not in ("http", "https") or not base.host:
        raise ValueError("PRODUCT_CATALOG_URL must begin with https:// or http:// and a host")
    if not (user_agent.isascii() and user_agent.isprintable() and user_agent.strip()):
        raise ValueError("PRODUCT_CATALOG_USER_AGENT must consist of printable ASCII characters")
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
        self._cache: TLRUCache[str, Lookup] = TLRUCache(_MAX_CACHED, ttu=_expiry)
        self._locks: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()
        self._log: structlog.stdlib.BoundLogger = structlog.get_logger()

    async def get(self, ean: str) -> Product:
        lookup = self._cache.get(ean)
        if lookup is None:
            # Of several concurrent lookups of one product, one sends a request, and the others use the cached response.
            async with self._locks.setdefault(ean, asyncio.Lock()):
                lookup = self._cache.get(ean) or await self._look_up(ean)
        if isinstance(lookup, Product):
            return lookup
        raise lookup

    async def download(self, product: Product, file: BinaryIO, *, max_bytes: int) -> str:
        # The URL in the response is that of the image with a height of 400 pixels. The full image has a similar URL
        # (https://openfoodfacts.github.io/openfoodfacts-server/api/how-to-download-images/).
        full_size_url = re.sub(r"\.400\.jpg\Z", ".full.jpg", product.image_url)
        if full_size_url != product.image_url:
            try:
                return await self._client.download(full_size_url, file, hosts=self._image_hosts, max_bytes=max_bytes)
            except (ImageRejected, ProductImageMissing) as error:
                self._log.info("image.full_size_unavailable", ean=product.source.ean, code=error.code)
        return await self._client.download(product.image_url, file, hosts=self._image_hosts, max_bytes=max_bytes)

    async def _look_up(self, ean: str) -> Lookup:
        wait = self._breaker.try_enter()
        if wait:
            raise CatalogUnavailable(_BREAKER_OPEN, retry_after=math.ceil(wait), attempted=False)
        try:
            async with asyncio.timeout(_CALL_SECONDS):
                lookup = await self._request(ean)
        except (AddressRefused, ValueError, RecursionError, *FAILURES) as error:
            self._log.warning("catalog.request_failed", ean=ean, error=repr(error))
            self._breaker.failed()
            raise CatalogUnavailable from error
        except CatalogUnavailable as error:
            if error.attempted:
                self._log.warning("catalog.request_refused", ean=ean, retry_after=error.retry_after)
                self._breaker.failed()
            raise
        self._breaker.succeeded()
        self._cache[ean] = lookup
        return lookup

    async def _request(self, ean: str) -> Lookup:
        """Send the request. Raises ValueError if the response is invalid."""
        url = f"{self._base_url}/api/v2/product/{ean}?product_type=all&fields={_FIELDS}"
        async with self._client.get(url, hosts=self._api_hosts, before_hop=self._limiter.acquire) as response:
            if response.is_unavailable:
                default = _THROTTLED_SECONDS if response.status == httpx.codes.TOO_MANY_REQUESTS else None
                raise CatalogUnavailable(_THROTTLED, retry_after=response.retry_after or default)
            fields = _parse(await _read_body(response))
            product = fields.get("product")
            if fields.get("status") in (0, "0"):
                return ProductUnknown
            if response.status != httpx.codes.OK or not isinstance(product, dict):
                raise ValueError(
                    f"status {response.status} with neither a product nor a statement that it does not exist"
                )
        image_url = _image_url(product)
        return Product(self._source(ean, product, response.url), image_url) if image_url else ProductImageMissing

    def _source(self, ean: str, product: Mapping[str, Any], url: httpx.URL) -> Source:
        database = _DATABASES.get(url.host, "Open Food Facts")
        brands = product.get("brands")
        return Source(
            ean=ean,
            url=str(url.copy_with(path=f"/product/{ean}", query=None, fragment=None)),
            product_name=_product_name(product),
            brand=_display_text(brands.split(",")[0]) if isinstance(brands, str) else None,
            licence=_LICENSE,
            attribution=f"Photo: {database} contributors",
        )


def _expiry(_ean: str, lookup: Lookup, now: float) -> float:
    return now + (_FOUND_SECONDS if isinstance(lookup, Product) else _NOT_FOUND_SECONDS)


async def _read_body(response: SafeResponse) -> bytes:
    body = bytearray()
    async for chunk in response.body:
        body += chunk
        if len(body) > _MAX_RESPONSE_BYTES:
            raise ValueError(f"the response has more than {_MAX_RESPONSE_BYTES:,} bytes")
    return bytes(body)


def _parse(body: bytes) -> dict[str, Any]:
    fields = json.loads(body)
    if not isinstance(fields, dict):
        raise ValueError("the JSON is not an object")  # noqa: TRY004 # the response is invalid, not an argument
    return fields


def _product_name(product: Mapping[str, Any]) -> str | None:
    """Return the name, or that in the main language of the product, or in any other language."""
    others = sorted(name for name in product if name.startswith("product_name_"))
    names = ("product_name", f"product_name_{product.get('lang')}", *others)
    return next(filter(None, (_display_text(product.get(name)) for name in names)), None)


def _image_url(product: Mapping[str, Any]) -> str | None:
    front = product.get("image_front_url")
    if isinstance(front, str) and front:
        return front
    selected: Any = product.get("selected_images")
    for name in ("front", "display"):
        selected = selected.get(name) if isinstance(selected, dict) else None
    urls = selected.values() if isinstance(selected, dict) else ()
    return next((url for url in urls if isinstance(url, str) and url), None)


def _display_text(text: object) -> str | None:
    """Return the text without anything that is unsafe to display. Any contributor may have written it."""
    if not isinstance(text, str):
        return None
    # Names may contain HTML entities. Control characters and invisible marks could make them look like other names.
    words = clean_line(" ".join(html.unescape(text[: 10 * _MAX_TEXT_LENGTH]).split()))
    return words[:_MAX_TEXT_LENGTH].rstrip() or None
