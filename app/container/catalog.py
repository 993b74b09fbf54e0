"""Opens the product catalog when it is first used."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from typing import BinaryIO

from app.common.blocking_io import run_blocking_io
from app.common.rate_limit import RateLimiter
from app.domain.products import Product
from app.ports.catalog import ProductCatalog
from app.settings import Settings

Open = Callable[[], AbstractAsyncContextManager[ProductCatalog]]


@asynccontextmanager
async def open_catalog(settings: Settings, limiter: RateLimiter) -> AsyncIterator[ProductCatalog]:
    def load() -> Open:
        from app.catalog.open_food_facts import open_food_facts
        from app.catalog.rate_limiter import CatalogRateLimiter

        return lambda: open_food_facts(
            settings.product_catalog_url,
            user_agent=settings.product_catalog_user_agent,
            limiter=CatalogRateLimiter(limiter),
        )

    async with AsyncExitStack() as stack:
        yield _CatalogOnDemand(load, stack)


class _CatalogOnDemand:
    """Many installations never use the catalog, whose HTTP client takes a tenth of the time to start."""

    def __init__(self, load: Callable[[], Open], stack: AsyncExitStack) -> None:
        self._load = load
        self._stack = stack
        self._lock = asyncio.Lock()
        self._catalog: ProductCatalog | None = None

    async def get(self, ean: str) -> Product:
        return await (await self._opened()).get(ean)

    async def download(self, product: Product, file: BinaryIO, *, max_bytes: int) -> str:
        return await (await self._opened()).download(product, file, max_bytes=max_bytes)

    async def _opened(self) -> ProductCatalog:
        async with self._lock:
            if self._catalog is None:
                open_catalog = await run_blocking_io(self._load)  # imports modules
                self._catalog = await self._stack.enter_async_context(open_catalog())
            return self._catalog
