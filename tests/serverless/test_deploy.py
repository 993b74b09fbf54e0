"""Deployments that are repeated, on an emulator that rolls back a stack whose creation fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.deploy import DeployError, deploy
from tests.serverless.conftest import SECONDS, Stack
from tests.serverless.conftest import deploy as deploy_functions

pytestmark = [pytest.mark.slow, pytest.mark.timeout(SECONDS)]

_TEMPLATE = """
Resources:
  Queue:
    Type: AWS::SQS::Queue
  Url:
    Type: AWS::Lambda::Url
    Properties: { TargetFunctionArn: %s, AuthType: NONE }
Outputs:
  QueueUrl: { Value: !Ref Queue }
"""


def test_a_stack_whose_creation_failed_is_created_again(stack: Stack, tmp_path: Path):
    template = tmp_path / "template.yaml"

    def attempt(function: str) -> dict[str, str]:
        template.write_text(_TEMPLATE % function)
        return deploy(endpoint_url=stack.url, region="us-east-1", stack="fails-first", parameters={}, template=template)

    with pytest.raises(DeployError, match="fails-first is ROLLBACK_COMPLETE"):
        attempt("no-such-function")
    assert "QueueUrl" in attempt(stack.outputs["WorkerFunction"])


def test_deploying_the_functions_again_changes_nothing(stack: Stack):
    assert deploy_functions(stack.url) == stack.outputs
