"""The process's one S3 client, and how it is set."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession

from app.adapters.server_clock import ServerClock

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client

_CONNECT_SECONDS = 3
_READ_SECONDS = 10
_ATTEMPTS = 3


@dataclass(frozen=True, slots=True)
class S3Connection:
    client: S3Client
    credentials: AioCredentials
    clock: ServerClock
    """S3's own time."""


@asynccontextmanager
async def open_s3(
    *,
    region: str,
    endpoint_url: str | None = None,
    access_key: str | None = None,
    secret_key: str | None = None,
    session_token: str | None = None,
) -> AsyncIterator[S3Connection]:
    """Open the process's one client. Without keys the SDK's usual chain finds them (role, profile)."""
    session = AioSession()
    if access_key and secret_key:
        session.set_credentials(access_key, secret_key, session_token)
    credentials = await session.get_credentials()
    if credentials is None:
        raise RuntimeError(
            "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role."
        )
    async with session.create_client(
        "s3", region_name=region, endpoint_url=endpoint_url or None, config=_make_config(custom=bool(endpoint_url))
    ) as client:
        client.meta.events.register_last("before-call.s3", _send_body_at_once)
        clock = ServerClock()
        client.meta.events.register("after-call.s3", clock.observe_response)
        yield S3Connection(client, credentials, clock)


def _make_config(*, custom: bool) -> AioConfig:
    return AioConfig(
        connect_timeout=_CONNECT_SECONDS,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": _ATTEMPTS},
        max_pool_connections=50,
        signature_version="s3v4",
        ignore_configured_endpoint_urls=True,
        # Each body goes with a SHA-256 header that is signed. Anything else, a payload signature over plain http or
        # a CRC of botocore's choice, would make it read whole files on the event loop once more.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if custom else "virtual",
            "payload_signing_enabled": False,
            "us_east_1_regional_endpoint": "regional",
        },
    )


def _send_body_at_once(params: dict[str, Any], **_event: object) -> None:
    # botocore asks for "100 Continue" before it sends a file. That costs a round trip, and aiohttp waits for
    # the answer without any limit of time.
    params["headers"].pop("Expect", None)
