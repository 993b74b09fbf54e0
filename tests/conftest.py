"""Fixtures and settings of all tests, and which of them are selected.

With AWS_EMULATOR, only the tests that use an AWS emulator are selected. Without it, the API runs only on the embedded
backend: `make test-ministack` runs it on aws, and `AWS_EMULATOR=moto pytest tests/api` does so with moto's server.
"""

from __future__ import annotations

import functools
import gc
import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import botocore.session
import httpx
import httpx._config
import httpx._transports.default as httpx_transports
import pytest
from hypothesis import HealthCheck, settings

from tests.aws_emulators import AwsEmulator, aws_emulator
from tests.patience import LIMITS, SECONDS

# Each new AWS client reads some hundred files, and each new HTTP client parses all root certificates.
botocore.session.create_loader = functools.cache(botocore.session.create_loader)
httpx.create_ssl_context = functools.cache(httpx.create_ssl_context)
httpx_transports.create_ssl_context = httpx.create_ssl_context  # type: ignore[attr-defined]

# What is imported and collected stays until the end. The garbage collector must not examine it again and again.
gc.disable()

# The default of HTTP clients, five seconds, is too short for a busy machine.
for phase in ("connect", "read", "write", "pool"):
    setattr(httpx._config.DEFAULT_TIMEOUT_CONFIG, phase, SECONDS)

# On a busy machine, an example may take any time. `make test-slow` selects `thorough` with an option of pytest.
settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=20)
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=200)
settings.load_profile("quick")

_AWS = re.compile(r"aws|dynamodb|s3|sqs")
_API_TESTS = Path(__file__).parent / "api"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "AWS_EMULATOR" in os.environ:
        kept = [item for item in items if _needs_aws(item) or item.get_closest_marker("slow")]
    else:
        kept = [item for item in items if _API_TESTS not in item.path.parents or not _needs_aws(item)]
    config.hook.pytest_deselected(items=[item for item in items if item not in set(kept)])
    items[:] = kept


def _needs_aws(item: pytest.Item) -> bool:
    parameters = item.name.partition("[")[2]
    return "aws" in getattr(item, "fixturenames", ()) or _AWS.search(parameters) is not None


def pytest_collection_finish() -> None:
    gc.freeze()
    gc.enable()


@pytest.fixture(scope="session")
def default_aws() -> Iterator[AwsEmulator]:
    """The AWS emulator of this process. The fixtures `aws` of the folders add resources that only their tests use."""
    with aws_emulator() as started:
        yield started


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, constants in LIMITS.items():
        if module := sys.modules.get(name):
            for constant in constants:
                monkeypatch.setattr(module, constant, SECONDS)
