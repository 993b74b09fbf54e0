"""Opens the product catalog when it is first used."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import BinaryIO

from app.common.rate_limit import RateLimiter
from app.container.on_demand import OnDemand, Open
from app.domain.products import Product
from app.ports.catalog import ProductCatalog
from app.settings import Settings


@asynccontextmanager
async def open_catalog(settings: Settings, limiter: RateLimiter) -> AsyncIterator[ProductCatalog]:
    def load() -> Open[ProductCatalog]:
        from app.catalog.open_food_facts import open_food_facts
        from app.catalog.rate_limiter import CatalogRateLimiter

        return lambda: open_food_facts(
            settings.product_catalog_url,
            user_agent=settings.product_catalog_user_agent,
            limiter=CatalogRateLimiter(limiter),
        )

    async with AsyncExitStack() as stack:
        yield _CatalogOnDemand(OnDemand(load, stack))


class _CatalogOnDemand:
    def __init__(self, catalog: OnDemand[ProductCatalog]) -> None:
        self._catalog = catalog

    async def get(self, ean: str) -> Product:
        return await (await self._catalog.get()).get(ean)

    async def download(self, product: Product, file: BinaryIO, *, max_bytes: int) -> str:
        return await (await self._catalog.get()).download(product, file, max_bytes=max_bytes)
