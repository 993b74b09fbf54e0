"""Prints how to upload a photo through the functions that run on an emulator, then waits: `make serverless` runs it."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any
from urllib.parse import urlsplit

from botocore.session import Session

from infra.deploy import STACK

_INSTRUCTIONS = """
The API is at {url}. Send the host of its function URL with each request. In another terminal:

HOST={host}
TOKEN=$(curl -s -H "Host: $HOST" {url}/api/v1/auth/register \\
  -H "Content-Type: application/json" -d '{{"email": "me@example.com", "password": "correct horse battery"}}' |
  python3 -c 'import json, sys; print(json.load(sys.stdin)["access_token"])')
curl -H "Host: $HOST" -H "Authorization: Bearer $TOKEN" -F file=@photo.jpg {url}/api/v1/images/upload
"""


def main() -> int:
    url = os.environ["LOCALSTACK_ENDPOINT_URL"]
    region = os.environ.get("AWS_DEFAULT_REGION", "us-east-1")
    functions: Any = Session().create_client("lambda", endpoint_url=url, region_name=region)
    function_url = functions.get_function_url_config(FunctionName=f"{STACK}-serverless-api")["FunctionUrl"]
    sys.stdout.write(_INSTRUCTIONS.format(url=url, host=urlsplit(function_url).hostname))
    sys.stdout.flush()
    signal.pause()
    return 0


if __name__ == "__main__":
    sys.exit(main())
