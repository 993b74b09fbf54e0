"""The template and the script that deploys it, against a stand-in for AWS."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from botocore.session import Session

from app.settings import Settings
from app.usecases import reconciling
from infra.deploy import TEMPLATE, DeployError, deploy, wait_until_ready
from tests.stand_ins import StandIn, free_port, stand_in

ROOT = Path(__file__).parents[2]
STACK = "image-upload-service"


@pytest.fixture(scope="module")
def aws() -> Iterator[StandIn]:
    with stand_in() as started:
        yield started


def client(service: str, aws: StandIn) -> Any:
    return Session().create_client(service, region_name=aws.region, endpoint_url=aws.url)


def deploy_again(aws: StandIn, **parameters: str) -> dict[str, str]:
    return deploy(endpoint_url=aws.url, region=aws.region, stack=STACK, parameters=parameters)


def run_script(url: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(ROOT / "infra" / "deploy.py")],
        env={
            "LOCALSTACK_ENDPOINT_URL": url,
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            **variables,
        },
        cwd=ROOT / "infra",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_template_has_no_fault_that_cfn_lint_knows():
    linter = Path(sys.executable).with_name("cfn-lint")
    linted = subprocess.run([linter, TEMPLATE], capture_output=True, text=True, timeout=60, check=False)

    assert (linted.stdout, linted.returncode) == ("", 0)


def test_the_templates_default_names_are_those_of_the_service(aws: StandIn):
    fields = Settings.model_fields

    assert aws.bucket == fields["s3_bucket"].default
    assert aws.table == fields["dynamodb_table_name"].default
    assert aws.queue == fields["sqs_queue_name"].default


def test_the_table_has_the_index_of_due_jobs_and_the_service_may_ask_it(aws: StandIn):
    [index] = client("dynamodb", aws).describe_table(TableName=aws.table)["Table"]["GlobalSecondaryIndexes"]

    assert index["IndexName"] == "due-jobs"
    assert index["KeySchema"] == [
        {"AttributeName": "due", "KeyType": "HASH"},
        {"AttributeName": "due_at", "KeyType": "RANGE"},
    ]
    assert index["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    iam = client("iam", aws)
    arn = deploy_again(aws)["ServicePolicyArn"]
    version = iam.get_policy(PolicyArn=arn)["Policy"]["DefaultVersionId"]
    statements = iam.get_policy_version(PolicyArn=arn, VersionId=version)["PolicyVersion"]["Document"]["Statement"]
    [resource] = [each["Resource"] for each in statements if each["Action"] == "dynamodb:Query"]
    assert resource.endswith(f"table/{aws.table}/index/*")


def test_the_bucket_expires_what_a_reconcile_would_delete():
    # Of the stand-ins LocalStack alone makes lifecycle rules from a template.
    rules = re.findall(r"Prefix: (\S+)\n +ExpirationInDays: (\d+)\n", TEMPLATE.read_text())

    assert {prefix: int(days) for prefix, days in rules} == {
        prefix: kept.days for prefix, kept in reconciling.KEPT.items()
    }


def test_deploying_again_changes_nothing(aws: StandIn):
    assert deploy_again(aws) == deploy_again(aws)


def test_a_changed_parameter_leaves_objects_and_records_where_they_are(aws: StandIn):
    s3, dynamodb = client("s3", aws), client("dynamodb", aws)
    item = {"pk": {"S": "kept"}, "sk": {"S": "kept"}}
    s3.put_object(Bucket=aws.bucket, Key="kept", Body=b"kept")
    dynamodb.put_item(TableName=aws.table, Item=item)
    try:
        deploy_again(aws, CorsOrigins="https://app.example.com,https://www.example.com")

        assert s3.get_object(Bucket=aws.bucket, Key="kept")["Body"].read() == b"kept"
        assert dynamodb.get_item(TableName=aws.table, Key=item)["Item"] == item
    finally:
        deploy_again(aws)
        s3.delete_object(Bucket=aws.bucket, Key="kept")
        dynamodb.delete_item(TableName=aws.table, Key=item)


def test_a_stand_in_that_speaks_http_is_deployed_without_the_demand_for_tls(aws: StandIn):
    s3 = client("s3", aws)

    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=aws.bucket)


def test_the_bucket_refuses_plain_http_unless_told_otherwise(aws: StandIn):
    if aws.name == "moto":
        pytest.skip("moto makes no bucket policy from a template")
    names = {"BucketName": "tls-only", "TableName": "tls-only", "QueueName": "tls-only"}
    deploy(endpoint_url=aws.url, region=aws.region, stack="tls-only", parameters=names | {"RequireTls": "true"})

    [statement] = json.loads(client("s3", aws).get_bucket_policy(Bucket="tls-only")["Policy"])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Resource"] == ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_message_taken_five_times_in_vain_goes_to_the_dead_letter_queue(aws: StandIn):
    sqs = client("sqs", aws)
    queue, dead = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (aws.queue, f"{aws.queue}-dead"))
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    for _ in range(5):
        [message] = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=1)["Messages"]
        assert message["Body"] == "poison"

    assert "Messages" not in sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=1)
    [message] = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=1)["Messages"]
    assert message["Body"] == "poison"
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])


def test_the_script_takes_the_services_variables_and_prints_what_it_made(aws: StandIn):
    names = {"S3_BUCKET": "named-bucket", "DYNAMODB_TABLE_NAME": "named-table", "SQS_QUEUE_NAME": "named-queue"}
    ran = run_script(aws.url, AWS_DEFAULT_REGION="eu-central-1", **names)

    assert (ran.returncode, ran.stderr) == (0, "")
    printed = dict(line.split(": ", 1) for line in ran.stdout.splitlines())
    assert (printed["BucketName"], printed["TableName"]) == ("named-bucket", "named-table")
    assert printed["QueueUrl"].endswith("/named-queue")


def test_the_script_refuses_a_bucket_in_another_region():
    ran = run_script("http://127.0.0.1:9", AWS_DEFAULT_REGION="eu-west-1", S3_REGION="us-east-1")

    assert ran.returncode == 1
    assert ran.stderr.startswith("Nothing was deployed: S3_REGION is not AWS_DEFAULT_REGION")


def test_the_wait_for_something_that_is_not_there_ends_with_a_plain_message():
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(DeployError, match="Is it running"):
        wait_until_ready(url, seconds=0)


def test_the_wait_goes_on_until_localstack_has_initialised():
    with answers([(503, None), (200, {"completed": False}), (200, {"completed": True})]) as (url, left):
        wait_until_ready(url, seconds=30)

    assert left == []


@contextmanager
def answers(script: list[tuple[int, object]]) -> Iterator[tuple[str, list[tuple[int, object]]]]:
    left = list(script)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = left.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}", left
        finally:
            server.shutdown()
            thread.join()
