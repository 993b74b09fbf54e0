"""Deploys template.yaml: `python infra/deploy.py`. It reads the service's environment variables and `.env`."""

from __future__ import annotations

import json
import os
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from typing import Any

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.session import Session
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from dotenv import load_dotenv

TEMPLATE = Path(__file__).with_name("template.yaml")
STACK = "image-upload-service"
_PARAMETERS = {
    "BucketName": "S3_BUCKET",
    "TableName": "DYNAMODB_TABLE_NAME",
    "QueueName": "SQS_QUEUE_NAME",
    "CorsOrigins": "CORS_ORIGINS",
}
"""The template's parameters, and the variables that set them. Without a variable, the template's default is used."""

_START_SECONDS = 120
_DEPLOY_SECONDS = 600


class DeployError(Exception):
    """The message says what is wrong and what to do."""


def main() -> int:
    load_dotenv(".env")
    environment = {name: value for name, value in os.environ.items() if value}
    try:
        outputs = deploy_configured(environment, wait_seconds=_START_SECONDS)
    except (DeployError, BotoCoreError, ClientError) as error:
        sys.stderr.write(f"The deployment failed: {error}\n")
        return 1
    sys.stdout.writelines(f"{name}: {value}\n" for name, value in sorted(outputs.items()))
    return 0


def deploy_configured(environment: Mapping[str, str], *, wait_seconds: float) -> dict[str, str]:
    """Deploy what the service's variables in `environment` describe; none of them is empty. Return the outputs.

    An emulator has `wait_seconds` to become ready. With 0, it is not asked. Raises the same errors as `deploy`.
    """
    region = _region(environment)
    endpoint_url = environment.get("LOCALSTACK_ENDPOINT_URL")
    parameters = {name: environment[key] for name, key in _PARAMETERS.items() if key in environment}
    if private_key := environment.get("CDN_PRIVATE_KEY"):
        parameters["CdnPublicKey"] = public_key_of(private_key)
    if endpoint_url and wait_seconds:
        wait_until_ready(endpoint_url, seconds=wait_seconds)
    return deploy(endpoint_url=endpoint_url, region=region, stack=STACK, parameters=parameters)


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
        pem = private_key if "-----BEGIN" in private_key else Path(private_key).expanduser().read_text()
        key = load_pem_private_key(pem.encode(), password=None)
    except (OSError, TypeError, ValueError) as error:
        raise DeployError(
            f"CDN_PRIVATE_KEY must be a private key in PEM, or the path of a file that contains it ({error})"
        ) from error
    return key.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


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


def deploy(*, endpoint_url: str | None, region: str, stack: str, parameters: dict[str, str]) -> dict[str, str]:
    """Create or update the stack and return its outputs. A stack that is up to date is not changed.

    Raises DeployError if the deployment fails, BotoCoreError if AWS does not respond, and ClientError if it refuses.
    """
    client = Session().create_client(
        "cloudformation",
        region_name=region,
        endpoint_url=endpoint_url or None,
        config=Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 3, "mode": "standard"}),
    )
    is_http = (endpoint_url or "").startswith("http:")
    if is_http:
        parameters = {"RequireTls": "false", **parameters}
    return _Stack(client, stack, poll_seconds=0.2 if is_http else 2).apply(parameters)


@dataclass(frozen=True, slots=True)
class _Stack:
    client: Any
    name: str
    poll_seconds: float

    def apply(self, parameters: Mapping[str, str]) -> dict[str, str]:
        request = {
            "StackName": self.name,
            "TemplateBody": TEMPLATE.read_text(),
            "Parameters": [{"ParameterKey": name, "ParameterValue": value} for name, value in parameters.items()],
            "Capabilities": ["CAPABILITY_IAM"],
        }
        success = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
        try:
            self.client.create_stack(**request)
        except self.client.exceptions.AlreadyExistsException:
            # Another deployment may be in progress, and a stack supports only one at a time.
            self._wait()
            if not self._update(request):
                # A previous update failed and was rolled back to the present template.
                success.add("UPDATE_ROLLBACK_COMPLETE")
        description = self._wait()
        if description["StackStatus"] not in success:
            raise DeployError(f"The stack {self.name} is {description['StackStatus']}.\n{self._failures()}".rstrip())
        return {output["OutputKey"]: output["OutputValue"] for output in description.get("Outputs", [])}

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
            if not status.endswith("_IN_PROGRESS"):
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


if __name__ == "__main__":
    sys.exit(main())
