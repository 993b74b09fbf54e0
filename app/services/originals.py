"""Reads objects back into temporary files."""

from __future__ import annotations

import asyncio
from typing import BinaryIO

from app.domain.errors import DependencyUnavailable
from app.ports.storage import ObjectStore

_FETCH_SECONDS = 60


async def fetch_original(store: ObjectStore, key: str, file: BinaryIO, *, max_bytes: int) -> str:
    """Write the object to `file` and return its SHA-256 (hex).

    Raises ObjectMissing, UploadTooLarge, and DependencyUnavailable after 60 s.
    """
    try:
        async with asyncio.timeout(_FETCH_SECONDS):
            return await store.fetch(key, file, max_bytes=max_bytes)
    except TimeoutError as error:
        raise DependencyUnavailable("store") from error
