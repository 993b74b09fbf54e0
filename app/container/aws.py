"""Opens the clients of AWS services. Imported only if the settings select one of them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from app.common.server_clock import ServerClock
from app.container.aws_sdk import AioConfig, AioCredentials, shared_session, with_shared_certificates
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
    credentials = await _find_credentials(service)
    if credentials is None:
        raise RuntimeError(
            "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role."
        )
    async with shared_session().create_client(
        service.name,
        region_name=service.region,
        endpoint_url=service.endpoint_url,
        config=with_shared_certificates(config),
        aws_access_key_id=service.access_key,
        aws_secret_access_key=service.secret_key,
        aws_session_token=service.session_token,
    ) as client:
        clock = ServerClock()
        client.meta.events.register(f"after-call.{service.name}", clock.observe_response)
        yield AwsClient(client, credentials, clock)


async def _find_credentials(service: AwsService) -> AioCredentials | None:
    if service.access_key and service.secret_key:
        return AioCredentials(service.access_key, service.secret_key, service.session_token)
    credentials: AioCredentials | None = await shared_session().get_credentials()
    return credentials
