"""Opens the clients of AWS services. Imported only if the settings select one of them."""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from aiobotocore.config import AioConfig
from aiobotocore.credentials import AioCredentials
from aiobotocore.parsers import create_parser
from aiobotocore.session import AioSession

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
    credentials = await _find_credentials(service)
    if credentials is None:
        raise RuntimeError(
            "There are no AWS credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or run with a role."
        )
    async with _session().create_client(
        service.name,
        region_name=service.region,
        endpoint_url=service.endpoint_url,
        config=config,
        aws_access_key_id=service.access_key,
        aws_secret_access_key=service.secret_key,
        aws_session_token=service.session_token,
    ) as client:
        clock = ServerClock()
        client.meta.events.register(f"after-call.{service.name}", clock.observe_response)
        yield AwsClient(client, credentials, clock)


@functools.cache
def _session() -> AioSession:
    """Return the session of the process: several would parse the same files, and refresh a role's credentials each."""
    session = AioSession()
    session.register_component("response_parser_factory", _ParserFactory())
    return session


class _ParserFactory:
    """Makes botocore's parsers of responses. That of DynamoDB returns items as they arrived.

    botocore would copy each attribute, with the help of its description of the service, which takes half of the time of
    a list page. Only binary attributes would differ, and this service stores none.
    """

    def create_parser(self, protocol_name: str) -> Any:  # noqa: ANN401 - botocore has no types
        parser: Any = create_parser(protocol_name)
        if protocol_name == "json":
            parse_map = parser._handle_map  # noqa: SLF001 - the parsers are meant to be subclassed

            def parse_unless_item(shape: Any, value: Any) -> Any:  # noqa: ANN401
                return value if shape.value.name == "AttributeValue" else parse_map(shape, value)

            parser._handle_map = parse_unless_item  # noqa: SLF001
        return parser


async def _find_credentials(service: AwsService) -> AioCredentials | None:
    if service.access_key and service.secret_key:
        return AioCredentials(service.access_key, service.secret_key, service.session_token)
    credentials: AioCredentials | None = await _session().get_credentials()
    return credentials
