"""Tests of the CloudFormation template and the script that deploys it, against an AWS emulator."""

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
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_public_key
from moto import mock_aws

from app.domain.object_keys import EXPORTS_PREFIX, INCOMING_PREFIX
from app.domain.retention import EXPORT_RETENTION, INCOMING_RETENTION
from app.settings import Settings
from infra import deploy as deploy_program
from infra.deploy import TEMPLATE, DeployError, deploy, public_key_of, wait_until_ready
from tests.aws_emulators import AwsEmulator, free_port

ROOT = Path(__file__).parents[2]
STACK = "image-upload-service"
SECONDS = 600
"""The time limit of a program."""

pytestmark = pytest.mark.timeout(SECONDS)


@pytest.fixture
def aws(default_aws: AwsEmulator) -> AwsEmulator:
    """The resources with the default names, which no other tests use."""
    return default_aws


def client(service: str, aws: AwsEmulator) -> Any:
    return Session().create_client(service, region_name=aws.region, endpoint_url=aws.url)


def deploy_again(aws: AwsEmulator, **parameters: str) -> dict[str, str]:
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
        timeout=SECONDS,
        check=False,
    )


def test_cfn_lint_finds_no_error_in_the_templates():
    linter = Path(sys.executable).with_name("cfn-lint")
    templates = [TEMPLATE, TEMPLATE.with_name("serverless.yaml"), TEMPLATE.with_name("containers.yaml")]
    done = subprocess.run([linter, *templates], capture_output=True, text=True, timeout=SECONDS, check=False)

    assert (done.stdout, done.returncode) == ("", 0)


def test_the_default_names_of_the_template_are_those_of_the_service(aws: AwsEmulator):
    fields = Settings.model_fields

    assert aws.bucket == fields["s3_bucket"].default
    assert aws.table == fields["dynamodb_table_name"].default
    assert aws.queue == fields["sqs_queue_name"].default


def test_the_table_has_the_index_of_due_jobs_and_the_service_may_query_it(aws: AwsEmulator):
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
    [resource] = [s["Resource"] for s in statements if s["Action"] == "dynamodb:Query"]
    assert resource.endswith(f"table/{aws.table}/index/*")


def actions_of(template: Path, resource: str) -> set[str]:
    """Return what the policies of the resource allow in the bucket, the table and the queue."""
    following = template.read_text().partition(f"\n  {resource}:\n")[2]
    [text, *_] = re.split(r"\n  \w+:\n", following)
    return set(re.findall(r'"((?:s3|dynamodb|sqs|kms):\w+)"', text))


def test_the_roles_of_the_functions_allow_what_the_policy_of_the_service_allows():
    service, functions = actions_of(TEMPLATE, "ServicePolicy"), TEMPLATE.with_name("serverless.yaml")
    of_workers = {"dynamodb:Scan", "sqs:ChangeMessageVisibility", "sqs:DeleteMessage", "sqs:ReceiveMessage"}

    assert len(service) > 15
    assert actions_of(functions, "WorkerRole") == service
    assert actions_of(functions, "ApiRole") == service - of_workers


def test_the_bucket_expires_the_objects_that_a_reconcile_run_deletes():
    # Only LocalStack creates lifecycle rules from a template, so this test reads the template itself.
    rules = re.findall(r"Prefix: (\S+)\n +ExpirationInDays: (\d+)\n", TEMPLATE.read_text())

    assert {prefix: int(days) for prefix, days in rules} == {
        INCOMING_PREFIX: INCOMING_RETENTION.days,
        EXPORTS_PREFIX: EXPORT_RETENTION.days,
    }


def test_deploying_again_changes_nothing(aws: AwsEmulator):
    assert deploy_again(aws) == deploy_again(aws)


def test_a_changed_parameter_does_not_affect_objects_and_records(aws: AwsEmulator):
    s3, dynamodb = client("s3", aws), client("dynamodb", aws)
    item = {"pk": {"S": "existing"}, "sk": {"S": "existing"}}
    s3.put_object(Bucket=aws.bucket, Key="existing", Body=b"content")
    dynamodb.put_item(TableName=aws.table, Item=item)
    try:
        deploy_again(aws, CorsOrigins="https://app.example.com,https://www.example.com")

        assert s3.get_object(Bucket=aws.bucket, Key="existing")["Body"].read() == b"content"
        assert dynamodb.get_item(TableName=aws.table, Key=item)["Item"] == item
    finally:
        deploy_again(aws)
        s3.delete_object(Bucket=aws.bucket, Key="existing")
        dynamodb.delete_item(TableName=aws.table, Key=item)


def test_an_emulator_without_https_gets_no_policy_that_requires_tls(aws: AwsEmulator):
    s3 = client("s3", aws)

    with pytest.raises(s3.exceptions.ClientError, match="NoSuchBucketPolicy"):
        s3.get_bucket_policy(Bucket=aws.bucket)


def test_the_bucket_refuses_plain_http_by_default(aws: AwsEmulator):
    if aws.name == "moto":
        pytest.skip("moto creates no bucket policy from a template")
    names = {"BucketName": "tls-only", "TableName": "tls-only", "QueueName": "tls-only"}
    deploy(endpoint_url=aws.url, region=aws.region, stack="tls-only", parameters=names | {"RequireTls": "true"})

    [statement] = json.loads(client("s3", aws).get_bucket_policy(Bucket="tls-only")["Policy"])["Statement"]
    assert (statement["Effect"], statement["Action"]) == ("Deny", "s3:*")
    assert statement["Resource"] == ["arn:aws:s3:::tls-only", "arn:aws:s3:::tls-only/*"]
    assert statement["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_a_message_that_was_received_five_times_moves_to_the_dead_letter_queue(aws: AwsEmulator):
    sqs = client("sqs", aws)
    queue, dead = (sqs.get_queue_url(QueueName=name)["QueueUrl"] for name in (aws.queue, f"{aws.queue}-dead"))
    sqs.send_message(QueueUrl=queue, MessageBody="poison")
    for _ in range(5):
        [message] = sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=20)["Messages"]
        assert message["Body"] == "poison"

    assert "Messages" not in sqs.receive_message(QueueUrl=queue, VisibilityTimeout=0, WaitTimeSeconds=1)
    [message] = sqs.receive_message(QueueUrl=dead, WaitTimeSeconds=20)["Messages"]
    assert message["Body"] == "poison"
    sqs.delete_message(QueueUrl=dead, ReceiptHandle=message["ReceiptHandle"])


def test_the_script_reads_the_variables_of_the_service_and_prints_the_resources(aws: AwsEmulator):
    names = {"S3_BUCKET": "named-bucket", "DYNAMODB_TABLE_NAME": "named-table", "SQS_QUEUE_NAME": "named-queue"}
    done = run_script(aws.url, AWS_DEFAULT_REGION="eu-central-1", **names)

    assert (done.returncode, done.stderr) == (0, "")
    printed = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert (printed["BucketName"], printed["TableName"]) == ("named-bucket", "named-table")
    assert printed["QueueUrl"].endswith("/named-queue")


@pytest.mark.filterwarnings("ignore:Tried to parse:UserWarning")  # moto lacks bucket policies
def test_a_new_stack_in_aws_gets_unique_names_and_an_existing_one_keeps_its_names(monkeypatch: pytest.MonkeyPatch):
    environment = {"AWS_DEFAULT_REGION": "eu-west-1"}
    origins = {**environment, "CORS_ORIGINS": "https://app.example.com"}
    with mock_aws():
        created = deploy_program.deploy_target("data", "photos", environment)
        assert created["BucketName"] == "photos-123456789012-eu-west-1"
        assert (created["TableName"], created["QueueName"]) == ("photos", "photos-jobs")
        assert deploy_program.deploy_target("data", "photos", origins) == created

        names = {"S3_BUCKET": "images", "DYNAMODB_TABLE_NAME": "images", "SQS_QUEUE_NAME": "image-jobs"}
        named = deploy_program.deploy_target("data", "named", {**environment, **names})
        assert (named["BucketName"], named["TableName"], named["QueueName"]) == ("images", "images", "image-jobs")
        assert deploy_program.deploy_target("data", "named", origins) == named


def test_the_script_refuses_a_bucket_in_another_region():
    done = run_script("http://127.0.0.1:9", AWS_DEFAULT_REGION="eu-west-1", S3_REGION="us-east-1")

    assert done.returncode == 1
    assert done.stderr.startswith("The deployment failed: S3_REGION and AWS_DEFAULT_REGION are different")


def test_the_key_of_the_distribution_is_the_public_key_of_the_private_key_of_the_service(tmp_path: Path):
    private = ec.generate_private_key(ec.SECP256R1())
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    path = tmp_path / "cdn.pem"
    path.write_text(pem)

    for value in (pem, str(path)):
        assert load_pem_public_key(public_key_of(value).encode()) == private.public_key()


def test_the_script_refuses_a_private_key_that_it_cannot_read():
    done = run_script("http://127.0.0.1:9", CDN_PRIVATE_KEY="/no/such/file")

    assert done.returncode == 1
    assert done.stderr.startswith("The deployment failed: CDN_PRIVATE_KEY must be a private key in PEM, or the path")


def test_waiting_for_an_emulator_that_is_not_running_ends_with_an_error():
    url = f"http://127.0.0.1:{free_port()}"

    with pytest.raises(DeployError, match="Is it running"):
        wait_until_ready(url, seconds=0)


def test_waiting_ends_when_localstack_has_been_initialized():
    responses: list[tuple[int, object]] = [(503, None), (200, {"completed": False}), (200, {"completed": True})]
    with serve(responses) as url:
        wait_until_ready(url, seconds=SECONDS)

    assert responses == []


@contextmanager
def serve(responses: list[tuple[int, object]]) -> Iterator[str]:
    """Serve the responses (status and JSON body) in turn, and remove each one that was sent."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status, body = responses.pop(0)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()
