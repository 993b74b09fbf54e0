"""What the roles of the functions allow: all that the adapters do in each function, and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any
from uuid import uuid4

import pytest
from botocore.exceptions import ClientError
from botocore.session import Session

from infra.with_aws_emulator import ministack
from tests.aws_emulators import REGION as CONTRACT_REGION
from tests.aws_emulators import AwsEmulator, free_port
from tests.serverless.conftest import REGION, ROOT, SECONDS, Stack

CONTRACT_BUCKET = "contract-tests"
"""The bucket of the contract tests. They use several tables and queues."""
API, WORKER = "ApiRole", "WorkerRole"

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3 * SECONDS)]


def client(service: str, url: str, keys: AwsEmulator | None = None) -> Any:
    """Return a client with the keys, or with those of the account."""
    return Session().create_client(
        service,
        region_name=REGION,
        endpoint_url=url,
        aws_access_key_id=keys.access_key if keys else "test",
        aws_secret_access_key=keys.secret_key if keys else "test",
        aws_session_token=keys.session_token if keys else None,
    )


def policy_of(stack: Stack, role: str) -> dict[str, Any]:
    name = stack.outputs["ApiFunction"].removesuffix("-api")
    found = stack.client("cloudformation").describe_stack_resource(StackName=name, LogicalResourceId=role)
    role_name, iam = found["StackResourceDetail"]["PhysicalResourceId"], stack.client("iam")
    [policy] = iam.list_role_policies(RoleName=role_name)["PolicyNames"]
    document: dict[str, Any] = iam.get_role_policy(RoleName=role_name, PolicyName=policy)["PolicyDocument"]
    return document


def make_role(url: str, policy: dict[str, Any]) -> str:
    """Create a role with the policy, and return its ARN. Only Lambda may assume the roles of the functions."""
    iam, name = client("iam", url), f"copy-{uuid4().hex}"
    trust = {"Effect": "Allow", "Principal": {"AWS": "*"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    arn: str = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    iam.put_role_policy(RoleName=name, PolicyName="copy", PolicyDocument=json.dumps(policy))
    return arn


@pytest.mark.parametrize("role, selection", [(API, "not slow and not worker_only"), (WORKER, "not slow")])
def test_the_adapters_need_no_other_permissions(stack: Stack, role: str, selection: str):
    policy = policy_of(stack, role)
    renamed = {
        f":{REGION}:": f":{CONTRACT_REGION}:",
        f":s3:::{stack.aws.bucket}": f":s3:::{CONTRACT_BUCKET}",
        f":table/{stack.aws.table}": ":table/*",
        f":{stack.aws.queue}": ":*",
    }
    for statement in policy["Statement"]:
        for old, new in renamed.items():
            statement["Resource"] = statement["Resource"].replace(old, new)
    with ministack(free_port(), keep=None, check_signatures=True) as url:
        emulator = {"AWS_EMULATOR": "ministack", "AWS_EMULATOR_URL": url, "AWS_EMULATOR_ROLE": make_role(url, policy)}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-m", selection, "tests/contracts"],
            cwd=ROOT,
            env={**os.environ, **emulator},
            capture_output=True,
            text=True,
            check=False,
        )
    assert done.returncode == 0, done.stdout


OF_WORKERS: dict[str, dict[str, Any]] = {
    "dynamodb:scan": {"TableName": "{table}"},
    "sqs:receive_message": {"QueueUrl": "{queue}"},
    "sqs:delete_message": {"QueueUrl": "{queue}", "ReceiptHandle": "{receipt}"},
    "sqs:change_message_visibility": {"QueueUrl": "{queue}", "ReceiptHandle": "{receipt}", "VisibilityTimeout": 60},
}
OF_NOBODY: dict[str, dict[str, Any]] = {
    "dynamodb:delete_table": {"TableName": "{table}"},
    "dynamodb:scan": {"TableName": "{table}", "IndexName": "due-jobs"},
    "dynamodb:get_item": {"TableName": "other", "Key": {"pk": {"S": "a"}, "sk": {"S": "b"}}},
    "iam:list_roles": {},
    "lambda:invoke": {"FunctionName": "{worker}"},
    "s3:delete_bucket": {"Bucket": "{bucket}"},
    "s3:get_object": {"Bucket": "image-upload-service-code", "Key": "functions.zip"},
    "s3:list_buckets": {},
    "s3:put_bucket_policy": {"Bucket": "{bucket}", "Policy": "{{}}"},
    "secretsmanager:get_secret_value": {"SecretId": "{secret}"},
    "sqs:purge_queue": {"QueueUrl": "{queue}"},
    "sqs:send_message": {"QueueUrl": "{dead}", "MessageBody": "x"},
}


def call(stack: Stack, keys: AwsEmulator, operation: str, arguments: dict[str, Any]) -> str | None:
    """Call the operation with the keys. Return the code of the error, or None."""
    service, _, method = operation.partition(":")
    values = {
        "bucket": stack.aws.bucket,
        "table": stack.aws.table,
        "queue": stack.outputs["QueueUrl"],
        "dead": stack.outputs["DeadLetterQueueUrl"],
        "worker": stack.outputs["WorkerFunction"],
        "secret": stack.outputs["SigningKeyArn"],
        "receipt": "none",
    }
    filled = {name: value.format(**values) if isinstance(value, str) else value for name, value in arguments.items()}
    try:
        getattr(client(service, stack.url, keys), method)(**filled)
    except ClientError as error:
        code: str = error.response["Error"]["Code"]
        return code
    return None


def is_refused(code: str | None) -> bool:
    return code is not None and code.startswith("AccessDenied")


@pytest.mark.parametrize("operation", OF_NOBODY)
@pytest.mark.parametrize("role", [API, WORKER])
def test_neither_function_may_do_anything_else(stack: Stack, role: str, operation: str):
    keys = stack.aws.assuming(make_role(stack.url, policy_of(stack, role)))
    assert is_refused(call(stack, keys, operation, OF_NOBODY[operation]))


@pytest.mark.parametrize("operation", OF_WORKERS)
def test_only_the_worker_may_scan_the_table_and_receive_messages(stack: Stack, operation: str):
    refused = {}
    for role in (API, WORKER):
        keys = stack.aws.assuming(make_role(stack.url, policy_of(stack, role)))
        refused[role] = is_refused(call(stack, keys, operation, OF_WORKERS[operation]))
    assert refused == {API: True, WORKER: False}
