"""The handlers with the runtime client of AWS, in a process with a read-only file system that is often frozen."""

from __future__ import annotations

import base64
import importlib.util
import json
import os
import shutil
import time
from typing import Any
from uuid import uuid4

import httpx
import pytest

from tests.acceptance.conftest import PASSWORD
from tests.pictures import jpeg
from tests.serverless.conftest import ROOT, SECONDS, Stack
from tests.serverless.runtime_api import Environment, execution_environment

DOMAIN = "abc.lambda-url.us-east-1.on.aws"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(2 * SECONDS),
    pytest.mark.skipif(
        importlib.util.find_spec("awslambdaric") is None, reason="make test-serverless installs awslambdaric"
    ),
    pytest.mark.skipif(
        os.geteuid() != 0 or shutil.which("unshare") is None, reason="only root can make the file system read-only"
    ),
]


def send(environment: Environment, request: httpx.Request) -> tuple[int, Any]:
    """Send a request as the event of a function URL. Return the status and the body of the response."""
    body = request.read()
    event = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": request.url.path,
        "rawQueryString": request.url.query.decode(),
        "headers": {**request.headers, "host": DOMAIN, "x-forwarded-proto": "https"},
        "requestContext": {
            "domainName": DOMAIN,
            "stage": "$default",
            "http": {
                "method": request.method,
                "path": request.url.path,
                "protocol": "HTTP/1.1",
                "sourceIp": "192.0.2.1",
            },
        },
        "body": base64.b64encode(body).decode(),
        "isBase64Encoded": True,
    }
    response = environment.invoke(event)
    data = response["body"]
    content = base64.b64decode(data) if response["isBase64Encoded"] else data.encode()
    return response["statusCode"], json.loads(content or b"null")


def test_the_api_works_with_a_read_only_file_system_and_after_each_freeze(stack: Stack):
    variables = {
        "PATH": os.environ["PATH"],
        "BACKEND": "aws",
        "ENVIRONMENT": "development",
        "DATA_DIR": "/tmp/service",  # noqa: S108 - the only folder that Lambda can write to
        "REGISTRATION": "open",
        "LOCALSTACK_ENDPOINT_URL": stack.url,
        "AWS_ACCESS_KEY_ID": "test",
        "AWS_SECRET_ACCESS_KEY": "test",
        "AWS_DEFAULT_REGION": "us-east-1",
        "AWS_LAMBDA_FUNCTION_NAME": "api",
        # The cache of compiled code cannot be written.
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    api = f"https://{DOMAIN}/api/v1"
    with execution_environment("app.aws_lambda.handle_request", variables, root=ROOT) as environment:
        account = {"email": f"{uuid4().hex}@example.com", "password": PASSWORD}
        status, tokens = send(environment, httpx.Request("POST", f"{api}/auth/register", json=account))
        assert status == 201, tokens
        headers = {"Authorization": f"Bearer {tokens['access_token']}"}
        time.sleep(3)  # frozen
        files = {"file": ("photo.jpg", jpeg(640, 480))}
        upload = httpx.Request("POST", f"{api}/images/upload", headers=headers, files=files)
        status, image = send(environment, upload)
        assert status == 201, image
        assert {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"ready"}
        time.sleep(3)  # frozen
        status, page = send(environment, httpx.Request("GET", f"{api}/images", headers=headers))
        assert [item["id"] for item in page["items"]] == [image["id"]]
