"""Scanner over HTTP: see docs/operations.md for the protocol."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal

import httpx
from pydantic import BaseModel, Field, ValidationError

from app.domain.errors import DependencyUnavailable
from app.domain.images import Image

_SCAN_SECONDS = 60
_CONNECTIONS = 20
_MAX_REASON = 200


class _Verdict(BaseModel):
    verdict: Literal["accept", "reject"]
    reason: str = Field(default="The scanner rejected it.", min_length=1)


@asynccontextmanager
async def open_scanner(url: str) -> AsyncIterator[HttpScanner]:
    limits = httpx.Limits(max_connections=_CONNECTIONS)
    # The scanner is the operator's: a proxy in the environment would not reach it.
    async with httpx.AsyncClient(timeout=_SCAN_SECONDS, limits=limits, trust_env=False) as client:
        yield HttpScanner(client, url=url)


class HttpScanner:
    def __init__(self, client: httpx.AsyncClient, *, url: str) -> None:
        self._client = client
        self._url = url

    async def scan(self, image: Image, *, url: str) -> str | None:
        body = {
            "image_id": image.id,
            "url": url,
            "content_type": image.content_type,
            "size": image.size,
            "sha256": image.sha256,
        }
        try:
            async with asyncio.timeout(_SCAN_SECONDS):
                response = await self._client.post(self._url, json=body)
            response.raise_for_status()
            verdict = _Verdict.model_validate_json(response.content)
        except (httpx.HTTPError, TimeoutError, ValidationError) as error:
            raise DependencyUnavailable("scanner") from error
        return None if verdict.verdict == "accept" else verdict.reason[:_MAX_REASON]
