"""The AWS resources of the contract tests."""

from __future__ import annotations

import pytest

from tests.aws_emulators import AwsEmulator


@pytest.fixture(scope="session")
def aws(default_aws: AwsEmulator) -> AwsEmulator:
    return default_aws.deployed_for("contract")
