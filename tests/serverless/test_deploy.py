"""Deployments that are repeated, on an emulator that rolls back a stack whose creation fails."""

from __future__ import annotations

from pathlib import Path

import pytest

from infra.deploy import DeployError, deploy
from tests.serverless.conftest import SECONDS, Stack, deployed
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


def test_the_queue_is_invisible_for_six_times_the_timeout_of_the_worker(tmp_path: Path):
    with deployed(tmp_path, WORKER_TIMEOUT="120", QUEUE_VISIBILITY_TIMEOUT="") as stack:

        def visibility_timeout() -> str:
            queue: dict[str, str] = stack.client("sqs").get_queue_attributes(
                QueueUrl=stack.outputs["QueueUrl"], AttributeNames=["VisibilityTimeout"]
            )["Attributes"]
            return queue["VisibilityTimeout"]

        assert visibility_timeout() == "720"
        # The worker keeps its timeout, so the queue keeps its own.
        deploy_functions(stack.url, QUEUE_VISIBILITY_TIMEOUT="")
        assert visibility_timeout() == "720"


def test_the_roles_permit_only_what_the_functions_do(stack: Stack):
    def actions(function: str) -> set[str]:
        role = stack.client("lambda").get_function_configuration(FunctionName=function)["Role"].rpartition("/")[2]
        iam = stack.client("iam")
        [policy] = iam.list_role_policies(RoleName=role)["PolicyNames"]
        statements = iam.get_role_policy(RoleName=role, PolicyName=policy)["PolicyDocument"]["Statement"]
        assert "*" not in {each["Resource"] for each in statements}
        listed = (each["Action"] for each in statements)
        return {action for each in listed for action in ([each] if isinstance(each, str) else each)}

    worker_only = {"dynamodb:Scan", "sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:ChangeMessageVisibility"}
    assert actions(stack.outputs["WorkerFunction"]) - actions(stack.outputs["ApiFunction"]) == worker_only
