"""Deploys the service to AWS or to an AWS emulator: `python infra/deploy.py [data|serverless|containers]`.

`data`, the default, deploys template.yaml. The others deploy it too, and a stack that runs the service on top of it.
The variables of `.env.example` and docs/deployment.md set their parameters. The program can be repeated.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import sys
import time
import urllib.error
import urllib.request
import zipfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from types import MappingProxyType
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from dotenv import load_dotenv

TEMPLATE = Path(__file__).with_name("template.yaml")
STACK = "image-upload-service"
_DATA = {
    "BucketName": "S3_BUCKET",
    "TableName": "DYNAMODB_TABLE_NAME",
    "QueueName": "SQS_QUEUE_NAME",
    "CorsOrigins": "CORS_ORIGINS",
    "QueueVisibilityTimeout": "QUEUE_VISIBILITY_TIMEOUT",
    "KmsKeyArn": "KMS_KEY_ARN",
    "Versioning": "BUCKET_VERSIONING",
    "AccessLogBucket": "ACCESS_LOG_BUCKET",
}
_SERVICE = {
    "KmsKeyArn": "KMS_KEY_ARN",
    "ImageUri": "IMAGE_URI",
    "AlarmTopicArn": "ALARM_TOPIC_ARN",
    "LogDays": "LOG_DAYS",
    "LogLevel": "LOG_LEVEL",
    "Registration": "REGISTRATION",
    "PublicUrl": "PUBLIC_URL",
    "CorsOrigins": "CORS_ORIGINS",
    "ProductCatalogUrl": "PRODUCT_CATALOG_URL",
    "ProductCatalogUserAgent": "PRODUCT_CATALOG_USER_AGENT",
    "MaxDirectFileSize": "MAX_DIRECT_FILE_SIZE",
    "UserQuotaBytes": "USER_QUOTA_BYTES",
    "GoogleCloudProject": "GOOGLE_CLOUD_PROJECT",
    "FirebaseApiKey": "FIREBASE_API_KEY",
    "SmtpUrl": "SMTP_URL",
    "EmailFrom": "EMAIL_FROM",
}
_SERVERLESS = {
    **_SERVICE,
    "ApiMemory": "API_MEMORY",
    "WorkerMemory": "WORKER_MEMORY",
    "WorkerTimeout": "WORKER_TIMEOUT",
    "WorkerConcurrency": "WORKER_CONCURRENCY",
    "WorkerDiskSize": "WORKER_DISK_SIZE",
}
_CONTAINERS = {
    **_SERVICE,
    "VpcId": "VPC_ID",
    "Subnets": "SUBNETS",
    "CertificateArn": "CERTIFICATE_ARN",
    "BalancerLogBucket": "BALANCER_LOG_BUCKET",
    "Processors": "TASK_PROCESSORS",
    "Memory": "TASK_MEMORY",
    "MaxApiTasks": "MAX_API_TASKS",
    "MaxWorkerTasks": "MAX_WORKER_TASKS",
}
"""The parameters of the templates, and the variables that set them. Without a variable, a new stack gets the template's
default, and an existing one keeps its value."""

_WORKER_TIMEOUT = 300
_VISIBILITY_PER_TIMEOUT = 6
"""What AWS requires of a queue that invokes a function: its messages stay invisible while the function retries them."""
_CREATION_FAILED = {"CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"}
_HIDDEN = "****"
"""What CloudFormation shows as the value of a secret parameter."""
_START_SECONDS = 120
_DEPLOY_SECONDS = 1800


class DeployError(Exception):
    """The message says what is wrong and what to do."""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("target", nargs="?", choices=["data", "serverless", "containers"], default="data")
    parser.add_argument("--stack", default=STACK, help="the name of the stack of template.yaml (default: %(default)s)")
    arguments = parser.parse_args()
    load_dotenv(".env")
    environment = {name: value for name, value in os.environ.items() if value}
    try:
        outputs = deploy_target(arguments.target, arguments.stack, environment)
    except (DeployError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"The deployment failed: {error}\n")
        return 1
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in sorted(outputs.items()))
    return 0


def deploy_target(
    target: str, stack: str, environment: Mapping[str, str], *, wait_seconds: float = _START_SECONDS
) -> dict[str, str]:
    """Deploy the stacks that the target needs, and return their outputs.

    No variable in `environment` may be empty. An emulator has `wait_seconds` to become ready. With 0, it is not asked.
    Raises what `deploy` raises.
    """
    endpoint_url = environment.get("LOCALSTACK_ENDPOINT_URL")
    region = _region(environment)
    data = _parameters(_DATA, environment)
    if private_key := environment.get("CDN_PRIVATE_KEY"):
        data["CdnPublicKey"] = public_key_of(private_key)
    if endpoint_url and wait_seconds:
        wait_until_ready(endpoint_url, seconds=wait_seconds)
    if target == "serverless":
        kept = _parameters_of(f"{stack}-serverless", endpoint_url=endpoint_url, region=region)
        timeout = environment.get("WORKER_TIMEOUT") or kept.get("WorkerTimeout") or _WORKER_TIMEOUT
        data = {"QueueVisibilityTimeout": str(_VISIBILITY_PER_TIMEOUT * int(timeout)), **data}
    names = {} if endpoint_url else _unique_names(stack, region)
    outputs = deploy(endpoint_url=endpoint_url, region=region, stack=stack, parameters=data, defaults=names)
    if target == "data":
        return outputs
    variables = _SERVERLESS if target == "serverless" else _CONTAINERS
    shared = ("BucketName", "TableName", "QueueName", "QueueUrl" if target == "serverless" else "ServicePolicyArn")
    parameters = {name: outputs[name] for name in shared} | _parameters(variables, environment)
    parameters |= {name: outputs[name] for name in ("CdnUrl", "CdnKeyPairId") if private_key and name in outputs}
    if private_key:
        parameters["CdnPrivateKey"] = _pem_of(private_key)
    if target == "serverless" and endpoint_url:
        parameters |= _code_for_emulator(endpoint_url, region)
    template = TEMPLATE.with_name(f"{target}.yaml")
    return outputs | deploy(
        endpoint_url=endpoint_url, region=region, stack=f"{stack}-{target}", parameters=parameters, template=template
    )


def _parameters(variables: Mapping[str, str], environment: Mapping[str, str]) -> dict[str, str]:
    return {name: environment[variable] for name, variable in variables.items() if variable in environment}


def _parameters_of(stack: str, *, endpoint_url: str | None, region: str) -> dict[str, str]:
    """Return the parameters of the stack. There are none if it does not exist."""
    try:
        client = _client("cloudformation", endpoint_url=endpoint_url, region=region)
        return _values(client.describe_stacks(StackName=stack)["Stacks"][0])
    except ClientError as error:
        if "does not exist" in str(error):
            return {}
        raise


def _unique_names(stack: str, region: str) -> dict[str, str]:
    """Return names that no other stack has. Names of buckets are unique among all accounts and regions."""
    account = _client("sts", region=region).get_caller_identity()["Account"]
    return {"BucketName": f"{stack}-{account}-{region}", "TableName": stack, "QueueName": f"{stack}-jobs"}


def _code_for_emulator(endpoint_url: str, region: str) -> dict[str, str]:
    """Return the parameters with which an emulator on this machine runs the functions from this folder.

    The ZIP file contains a note only, and the code and the libraries are found by their paths: with all libraries it
    would have more than 100 MB, which every environment would unpack.
    """
    root = TEMPLATE.parents[1]
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        # Of a fixed time, so that the file is the same each time.
        archive.writestr(zipfile.ZipInfo("README.txt"), f"The code is in {root}.")
    bucket, key = f"{STACK}-code", "functions.zip"
    s3 = _client("s3", endpoint_url=endpoint_url, region=region)
    place = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
    with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
        s3.create_bucket(Bucket=bucket, **place)
    s3.put_object(Bucket=bucket, Key=key, Body=buffer.getvalue())
    libraries = next(path for path in sys.path if path.endswith("site-packages"))
    code = {"CodeBucket": bucket, "CodeKey": key, "PythonPath": f"{root}{os.pathsep}{libraries}"}
    return {**code, "EmulatorUrl": endpoint_url}


def _region(environment: Mapping[str, str]) -> str:
    region = environment.get("AWS_DEFAULT_REGION", "us-east-1")
    if environment.get("S3_REGION", region) != region:
        raise DeployError(
            "S3_REGION and AWS_DEFAULT_REGION are different, but the template creates everything in one region. Set "
            "S3_REGION to the value of AWS_DEFAULT_REGION, or leave it empty."
        )
    return region


def public_key_of(private_key: str) -> str:
    """Return the public key, in PEM, of a private key, which is given in PEM or as the path of a file."""
    try:
        key = load_pem_private_key(_pem_of(private_key).encode(), password=None)
    except (OSError, TypeError, ValueError) as error:
        raise DeployError(
            f"CDN_PRIVATE_KEY must be a private key in PEM, or the path of a file that contains it ({error})"
        ) from error
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def _pem_of(private_key: str) -> str:
    return private_key if "-----BEGIN" in private_key else Path(private_key).expanduser().read_text()


def wait_until_ready(endpoint_url: str, *, seconds: float) -> None:
    """Return as soon as the emulator at `endpoint_url` accepts requests. Raises DeployError after `seconds`."""
    deadline = time.monotonic() + seconds
    while not is_ready(endpoint_url):
        if time.monotonic() > deadline:
            raise DeployError(f"{endpoint_url} was not ready within {seconds:.0f} s. Is it running?")
        time.sleep(0.25)


def is_ready(endpoint_url: str) -> bool:
    """Return whether the emulator at `endpoint_url` accepts requests."""
    # LocalStack reports to be healthy before its initialization is complete. Other emulators do not have this path.
    url = f"{endpoint_url.rstrip('/')}/_localstack/init/ready"
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - the operator chooses the endpoint
            return bool(json.load(response)["completed"])
    except urllib.error.HTTPError as error:
        return error.code < HTTPStatus.INTERNAL_SERVER_ERROR
    except (OSError, HTTPException):
        return False


def deploy(
    *,
    endpoint_url: str | None,
    region: str,
    stack: str,
    parameters: Mapping[str, str],
    defaults: Mapping[str, str] = MappingProxyType({}),
    template: Path = TEMPLATE,
) -> dict[str, str]:
    """Create or update the stack and return its outputs. A stack that is up to date is not changed.

    A new stack also gets the `defaults`. An existing one keeps the values of all parameters that are not given.

    Raises DeployError if the deployment fails, BotoCoreError if AWS does not respond, and ClientError if it refuses.
    """
    client = _client("cloudformation", endpoint_url=endpoint_url, region=region)
    is_http = (endpoint_url or "").startswith("http:")
    if is_http and template == TEMPLATE:
        parameters = {"RequireTls": "false", **parameters}
    return _Stack(client, stack, template.read_text(), poll_seconds=0.2 if is_http else 2).apply(
        parameters, defaults=defaults
    )


def _client(service: str, *, region: str, endpoint_url: str | None = None) -> Any:  # noqa: ANN401 - botocore has no types
    return Session().create_client(
        service,
        region_name=region,
        endpoint_url=endpoint_url or None,
        config=Config(
            connect_timeout=5,
            read_timeout=60,
            retries={"total_max_attempts": 3, "mode": "standard"},
            s3={"addressing_style": "path"},
        ),
    )


@dataclass(frozen=True, slots=True)
class _Stack:
    client: Any
    name: str
    template: str
    poll_seconds: float

    def apply(self, parameters: Mapping[str, str], *, defaults: Mapping[str, str]) -> dict[str, str]:
        request = {"StackName": self.name, "TemplateBody": self.template, "Capabilities": ["CAPABILITY_IAM"]}
        success = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
        existing = self._existing()
        if existing is None:
            self.client.create_stack(**request, Parameters=_chosen({**defaults, **parameters}))
        elif not self._update({**request, "Parameters": self._kept(existing, parameters) + _chosen(parameters)}):
            # A previous update failed and was rolled back to the present template.
            success.add("UPDATE_ROLLBACK_COMPLETE")
        description = self._wait()
        if description["StackStatus"] not in success:
            raise DeployError(f"The stack {self.name} is {description['StackStatus']}.\n{self._failures()}".rstrip())
        return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}

    def _existing(self) -> dict[str, Any] | None:
        """Return the description of the stack, or None if there is none. One whose creation failed is deleted."""
        try:
            # Another deployment may be in progress, and a stack supports only one at a time.
            existing = self._wait()
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        if existing["StackStatus"] not in _CREATION_FAILED:
            return existing
        # CloudFormation can only delete such a stack.
        self.client.delete_stack(StackName=self.name)
        try:
            remaining = self._wait()
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        if remaining["StackStatus"] == "DELETE_COMPLETE":
            return None
        raise DeployError(f"The stack {self.name} cannot be deleted: it is {remaining['StackStatus']}.")

    @staticmethod
    def _kept(existing: Mapping[str, Any], parameters: Mapping[str, str]) -> list[dict[str, Any]]:
        """Return the parameters that keep their value. Other names would replace the bucket, the table or the queue."""
        return [
            {"ParameterKey": name, **({"UsePreviousValue": True} if value == _HIDDEN else {"ParameterValue": value})}
            for name, value in _values(existing).items()
            # A value that is empty is the default.
            if value and name not in parameters
        ]

    def _update(self, request: Mapping[str, Any]) -> bool:
        """Start an update. Return False if the stack is up to date."""
        try:
            self.client.update_stack(**request)
        except ClientError as error:
            if "No updates" in str(error):
                return False
            raise
        return True

    def _wait(self) -> dict[str, Any]:
        """Return the description of the stack as soon as no operation is in progress."""
        deadline = time.monotonic() + _DEPLOY_SECONDS
        while True:
            description: dict[str, Any] = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
            status = description["StackStatus"]
            # A stack in review has no resources: a change set was made, but not executed.
            if status == "REVIEW_IN_PROGRESS" or not status.endswith("_IN_PROGRESS"):
                return description
            if time.monotonic() > deadline:
                raise DeployError(f"The stack {self.name} is still {status} after {_DEPLOY_SECONDS} s.")
            time.sleep(self.poll_seconds)

    def _failures(self) -> str:
        events = self.client.describe_stack_events(StackName=self.name)["StackEvents"]
        return "".join(
            f"  {event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}\n"
            for event in reversed(events)
            if event.get("ResourceStatus", "").endswith("_FAILED")
        )


def _values(stack: Mapping[str, Any]) -> dict[str, str]:
    return {each["ParameterKey"]: each.get("ParameterValue", "") for each in stack.get("Parameters", [])}


def _chosen(parameters: Mapping[str, str]) -> list[dict[str, Any]]:
    return [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()]


if __name__ == "__main__":
    sys.exit(main())
