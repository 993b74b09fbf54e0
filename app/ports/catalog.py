"""Product catalogs."""

from __future__ import annotations

from typing import BinaryIO, Protocol

from app.domain.products import Product


class ProductCatalog(Protocol):
    """Looks up products by EAN and downloads their images."""

    async def get(self, ean: str) -> Product:
        """Return the product with this normalized code (domain.ean).

        Raises ProductUnknown, ProductImageMissing or CatalogUnavailable.
        """
        ...

    async def download(self, product: Product, file: BinaryIO, *, max_bytes: int) -> str:
        """Write the product's image to the open, empty `file` and return its SHA-256 (hex). Memory use is constant.

        Connects only to public addresses of the hosts that the catalog is known to use. Raises ImageRejected for other
        addresses and for images larger than `max_bytes`, ProductImageMissing, and CatalogUnavailable.
        """
        ...
