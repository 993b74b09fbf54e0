"""Tests of the OpenAPI description, of the pages that show it, and of those to which the `type` of errors refers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from openapi_spec_validator import validate

from app.domain.errors import AppError
from tests.api.conftest import BASE_URL, Service

pytestmark = pytest.mark.asyncio(loop_scope="session")

PUBLIC = {
    "getLimits",
    *("register", "signIn", "refreshTokens", "requestPasswordReset", "confirmPasswordReset"),
    *("getObject", "putObject", "postObject", "getRendition"),  # their URLs are signed
    *("getSharedImages", "openSharedImages", "getSharedRendition", "downloadSharedImage"),  # their links are signed
    *("getLiveness", "getReadiness", "getMetrics"),
}
ADMIN = {
    *("listUsers", "getUser", "deleteUser", "listAuditEntries"),
    *("listWebhooks", "createWebhook", "getWebhook", "changeWebhook", "deleteWebhook", "rotateWebhookSecret"),
    *("listDeliveries", "redeliverEvent"),
}
PRIVATE = {
    *("getAccount", "changeAccount", "exportAccount", "deleteAccount"),
    *("signOut", "listSessions", "endSession", "endOtherSessions"),
    *(
        "uploadImage",
        "listImages",
        "getTimeline",
        "getImage",
        "updateImage",
        "deleteImage",
        "deleteImages",
        "downloadImage",
    ),
    *("listThumbnails", "getThumbnail", "retryThumbnails", "watchImage"),
    *("createShare", "listShares", "getShare", "changeShare", "revokeShare"),
    *("initiateUpload", "getUpload", "completeUpload"),
    *("createResumableUpload", "getResumableUpload", "sendResumableUpload", "terminateResumableUpload"),
    *("fetchImage", "downloadImages", "listJobs", "getJob", "watchJob"),
}


def operations(service: Service) -> Iterator[dict[str, Any]]:
    for methods in service.app.openapi()["paths"].values():
        yield from methods.values()


def operation(service: Service, name: str) -> dict[str, Any]:
    return next(o for o in operations(service) if o["operationId"] == name)


async def test_the_description_is_valid_for_the_version_that_it_declares(service: Service):
    response = await service.client.get("/openapi.json")
    assert response.json()["openapi"] == "3.1.0"
    validate(response.json())


async def test_the_operation_ids_are_stable(service: Service):
    """Generated clients name their functions after the operation ids."""
    assert {o["operationId"] for o in operations(service)} == PUBLIC | PRIVATE | ADMIN


async def test_private_operations_accept_either_security_scheme(service: Service):
    schemes = service.app.openapi()["components"]["securitySchemes"]
    assert {name: scheme["type"] for name, scheme in schemes.items()} == {
        "password": "oauth2",
        "bearer": "http",
        "server_key": "http",
    }
    for described in operations(service):
        names = [name for alternative in described["security"] for name in alternative]
        name = described["operationId"]
        assert names == ([] if name in PUBLIC else ["server_key"] if name in ADMIN else ["password", "bearer"])


@pytest.mark.parametrize("name,schema", [("watchImage", "ImageView"), ("watchJob", "JobView")])
async def test_the_data_of_events_has_a_schema(service: Service, name: str, schema: str):
    content = operation(service, name)["responses"]["200"]["content"]
    assert content == {"text/event-stream": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


async def test_every_operation_declares_its_body_and_what_it_returns(service: Service):
    for described in operations(service):
        assert described["summary"]
        assert described["tags"]
        assert described["description"]
    for name in ("uploadImage", "postObject", "putObject", "refreshTokens"):
        assert operation(service, name)["requestBody"]["required"]


async def test_the_server_is_relative_to_the_path_prefix(service: Service):
    transport = httpx.ASGITransport(service.app, root_path="/photos")
    async with httpx.AsyncClient(transport=transport, base_url=BASE_URL) as client:
        servers = (await client.get("/photos/openapi.json")).json()["servers"]
        assert servers[0]["url"] == "/photos"
        for path in ("/photos/nowhere", "/photos/web/nowhere.js", "/photos/api/v1/images"):
            problem_type = (await client.get(path)).json()["type"]
            assert problem_type.startswith("/photos/problems/")
            assert (await client.get(problem_type)).status_code == 200


@pytest.mark.parametrize("kind", AppError.__subclasses__(), ids=lambda kind: kind.__name__)
async def test_the_type_of_every_error_is_a_page(service: Service, kind: type[AppError]):
    page = await service.client.get(f"/problems/{kind.code}")
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert f"<code>{kind.code}</code>" in page.text
    assert str(kind.status) in page.text
    assert kind.default_detail, "the page would explain nothing"


async def test_the_types_in_the_examples_are_pages(service: Service):
    examples = [
        example["value"]["type"]
        for described in operations(service)
        for response in described["responses"].values()
        for example in response.get("content", {}).get("application/problem+json", {}).get("examples", {}).values()
    ]
    assert len(examples) > 100
    for problem_type in set(examples):
        assert (await service.client.get(problem_type)).status_code == 200, problem_type


async def test_an_unknown_error_code_has_no_page(service: Service):
    response = await service.client.get("/problems/nothing")
    assert (response.status_code, response.json()["code"]) == (404, "not_found")


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/problems/image_missing"])
async def test_a_page_loads_only_files_of_the_service(service: Service, path: str):
    page = await service.client.get(path)
    assert page.headers["content-type"].startswith("text/html")
    policy = dict(part.strip().partition(" ")[::2] for part in page.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy.get("script-src", "'self'") == "'self'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert re.findall(r"<script(?! src)", page.text) == []
    links = re.findall(r'(?:src|href)="([^"]+)"', page.text)
    assert links
    for link in links:
        assert ":" not in link
        assert (await service.client.get(httpx.URL(f"{BASE_URL}{path}").join(link))).status_code == 200, link
