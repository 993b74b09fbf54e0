"""Time limits and errors of calls to S3."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

import aiohttp
from botocore.exceptions import BotoCoreError, ClientError

from app.domain.errors import DependencyUnavailable


@asynccontextmanager
async def response_within(seconds: float) -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(seconds):
            yield
    except (BotoCoreError, ClientError, aiohttp.ClientError, OSError, EOFError) as error:
        raise DependencyUnavailable("store") from error


def is_missing(error: ClientError) -> bool:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == HTTPStatus.NOT_FOUND
