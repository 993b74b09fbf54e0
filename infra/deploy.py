"""Deploys template.yaml: `python infra/deploy.py`, with the same environment variables as the service."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from botocore.config import Config
from botocore.exceptions import ClientError
from botocore.session import Session

TEMPLATE = Path(__file__).with_name("template.yaml")


def deploy(*, endpoint_url: str | None, region: str, stack: str, parameters: dict[str, str]) -> dict[str, str]:
    """Create or update the stack and return its outputs; a stack that is as it should be is left alone."""
    client = Session().create_client(
        "cloudformation",
        region_name=region,
        endpoint_url=endpoint_url or None,
        config=Config(connect_timeout=5, read_timeout=60, retries={"total_max_attempts": 3, "mode": "standard"}),
    )
    request = {
        "StackName": stack,
        "TemplateBody": TEMPLATE.read_text(),
        "Parameters": [{"ParameterKey": k, "ParameterValue": v} for k, v in parameters.items()],
    }
    try:
        client.create_stack(**request)
        waiter = "stack_create_complete"
    except client.exceptions.AlreadyExistsException:
        try:
            client.update_stack(**request)
        except ClientError as error:
            if "No updates" not in str(error):
                raise
        waiter = "stack_update_complete"
    try:
        client.get_waiter(waiter).wait(StackName=stack, WaiterConfig={"Delay": 1, "MaxAttempts": 300})
    except Exception:
        print_failures(client, stack)
        raise
    outputs = client.describe_stacks(StackName=stack)["Stacks"][0].get("Outputs", [])
    return {output["OutputKey"]: output["OutputValue"] for output in outputs}
