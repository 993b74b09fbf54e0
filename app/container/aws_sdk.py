"""The AWS SDK, with less work than by default: when it is imported, when its clients are opened, and for each response.

Its classes are replaced only where the SDK lets its users do that. Where a private name is used, the SDK works as well
without it, only slower, which `tests/unit/test_aws_sdk.py` notices.
"""

from __future__ import annotations

import functools
import gzip
import json
import os
import ssl
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, ClassVar


@contextmanager
def _without_unused_parts() -> Iterator[None]:
    """While the SDK is imported, make aiohttp load no root certificates, and aiobotocore no second HTTP client.

    aiohttp loads all root certificates twice, for connections without a context of their own; those of aiobotocore have
    one. httpx is optional for aiobotocore.
    """
    own = {name: os.environ.get(name) for name in ("SSL_CERT_FILE", "SSL_CERT_DIR")}
    os.environ.update(dict.fromkeys(own, os.devnull))
    hides_httpx = "httpx" not in sys.modules
    if hides_httpx:
        no_module: Any = None
        sys.modules["httpx"] = no_module
    try:
        yield
    finally:
        if hides_httpx:
            del sys.modules["httpx"]
        for name, value in own.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


with _without_unused_parts():
    from aiobotocore.config import AioConfig
    from aiobotocore.credentials import AioCredentials
    from aiobotocore.httpsession import AIOHTTPSession
    from aiobotocore.parsers import create_parser
    from aiobotocore.session import AioSession
    from botocore.loaders import JSONFileLoader, Loader

__all__ = ["AioConfig", "AioCredentials", "shared_session", "with_shared_certificates"]


@functools.cache
def shared_session() -> AioSession:
    """Return the session of the process: several would parse the same files, and refresh a role's credentials each."""
    session = AioSession()
    session.register_component("data_loader", _Descriptions(file_loader=_Files()))
    session.register_component("response_parser_factory", _ParserFactory())
    return session


def with_shared_certificates(config: AioConfig) -> AioConfig:
    """Return the configuration of a client that shares the root certificates with the other clients."""
    merged: AioConfig = config.merge(AioConfig(http_session_cls=_HttpSession))
    return merged


class _Descriptions(Loader):
    """The SDK's descriptions of services. By default, it looks into the folders of all four hundred services first."""

    def list_available_services(self, type_name: str) -> list[str]:  # noqa: ARG002 - the name in botocore
        return ["dynamodb", "s3", "sqs"]


class _Files(JSONFileLoader):
    """The files of the descriptions, parsed into plain instead of ordered dictionaries."""

    def load_file(self, file_path: str) -> Any:  # noqa: ANN401 - botocore has no types
        for suffix, open_file in ((".json", open), (".json.gz", gzip.open)):
            with suppress(FileNotFoundError), open_file(f"{file_path}{suffix}", "rb") as file:
                return json.load(file)
        return None


class _HttpSession(AIOHTTPSession):
    """The HTTP client of the SDK. By default, each loads the root certificates."""

    _contexts: ClassVar[dict[bool | str, ssl.SSLContext]] = {}

    def _build_verify_context(self) -> ssl.SSLContext:
        client: Any = self
        default: Any = super()
        verify: bool | str = client._verify  # noqa: SLF001
        if verify not in self._contexts:
            self._contexts[verify] = default._build_verify_context()  # noqa: SLF001
        return self._contexts[verify]


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
