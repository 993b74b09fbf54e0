"""The AWS emulator of the contract tests, which is started once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.aws_emulators import AwsEmulator, aws_emulator


@pytest.fixture(scope="session")
def aws() -> Iterator[AwsEmulator]:
    with aws_emulator() as started:
        yield started
