"""Opens the clients of AWS services. Imported only if the settings select one of them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.session import AioSession
from botocore.loaders import Loader, create_loader

from app.common.server_clock import ServerClock
from app.settings_fields import AwsService


@dataclass(frozen=True, slots=True)
class AwsClient:
    client: Any
    credentials: AioCredentials
    clock: ServerClock
    """The service's own time."""


@asynccontextmanager
async def open_aws_client(service: AwsService, config: AioConfig) -> AsyncIterator[AwsClient]:
    """Open the process's one client of the service. Raises RuntimeError if there are no credentials."""
    session = AioSession()
    session.register_component("data_loader", _loader())
    if service.access_key and service.secret_key:
        session.set_credentials(service.access_key, service.secret_key, service.session_token)
    credentials = await session.get_credentials()
    if credentials is None:
        raise RuntimeError(
            "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role."
        )
    async with session.create_client(
        service.name, region_name=service.region, endpoint_url=service.endpoint_url, config=config
    ) as client:
        clock = ServerClock()
        client.meta.events.register(f"after-call.{service.name}", clock.observe_response)
        yield AwsClient(client, credentials, clock)


@functools.cache
def _loader() -> Loader:
    """Return the loader of the descriptions of AWS services. A loader of each session would parse the same files."""
    return create_loader()
