"""The configuration of the S3 client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from aiobotocore.config import AioConfig

if TYPE_CHECKING:
    from types_aiobotocore_s3 import S3Client


_READ_SECONDS = 10


def make_config(*, path_style: bool) -> AioConfig:
    """`path_style` puts the bucket into the path of URLs, as emulators and most S3-compatible stores require."""
    return AioConfig(
        connect_timeout=3,
        read_timeout=_READ_SECONDS,
        retries={"mode": "standard", "total_max_attempts": 3},
        max_pool_connections=50,
        signature_version="s3v4",
        ignore_configured_endpoint_urls=True,
        # Each body is sent with a signed SHA-256 header. With any other checksum (a payload signature over plain HTTP,
        # or a CRC of botocore's choice), botocore would read whole files on the event loop.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        s3={
            "addressing_style": "path" if path_style else "virtual",
            "payload_signing_enabled": False,
            "us_east_1_regional_endpoint": "regional",
        },
    )


def disable_expect(client: S3Client) -> None:
    """Make the client send bodies without waiting for `100 Continue`.

    The wait costs a round trip, and aiohttp has no timeout for it.
    """
    client.meta.events.register_last("before-call.s3", _remove_expect)


def _remove_expect(params: dict[str, Any], **_event: object) -> None:
    params["headers"].pop("Expect", None)
