"""The AWS resources of the contract tests. AWS_EMULATOR_ROLE is the ARN of a role with which they use an emulator."""

from __future__ import annotations

import os

import pytest

from tests.aws_emulators import AwsEmulator


@pytest.fixture(scope="session")
def aws(default_aws: AwsEmulator) -> AwsEmulator:
    deployed = default_aws.deployed_for("contract")
    role_arn = os.environ.get("AWS_EMULATOR_ROLE")
    return deployed.assuming(role_arn) if role_arn else deployed
