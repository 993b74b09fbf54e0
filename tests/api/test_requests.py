"""Properties of every request: the shape of errors, ids, headers, logs and health checks."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.types import Message

from app.domain.errors import DependencyUnavailable
from tests.api.conftest import PASSWORD, Person, Service, embedded_settings, running
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def problem(service: Service, method: str, path: str, **arguments: Any) -> tuple[int, dict[str, Any]]:
    response = await service.client.request(method, path, **arguments)
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert set(body) == {"type", "title", "status", "code", "detail", "request_id", "errors"}
    assert body["status"] == response.status_code
    assert body["request_id"] == response.headers["x-request-id"]
    assert body["type"] == f"/problems/{body['code']}"
    return response.status_code, body


async def test_every_error_has_the_same_shape(service: Service):
    register = "/api/v1/auth/register"
    json = {"Content-Type": "application/json"}
    assert (await problem(service, "GET", "/nowhere"))[1]["code"] == "not_found"
    assert (await problem(service, "GET", "/api/v1/images/x/nowhere"))[1]["code"] == "not_found"
    assert (await problem(service, "PUT", "/api/v1/images"))[1]["code"] == "method_not_allowed"
    assert (await problem(service, "POST", register, content=b"{", headers=json))[1]["code"] == "json_invalid"
    assert (await problem(service, "POST", register, content=b"\xff\xfe", headers=json))[0] in (400, 422)
    assert (await problem(service, "POST", register, content=b"[" * 50_000, headers=json))[0] in (400, 422)
    assert (await problem(service, "POST", register, content=bytes(1 << 20)))[1]["code"] == "body_too_large"
    status, body = await problem(service, "POST", register, json={"email": 5, "password": "secret-secret"})
    assert (status, body["code"]) == (422, "request_invalid")
    assert body["errors"][0]["field"] == "body.email"
    assert "secret-secret" not in str(body)


@pytest.mark.parametrize(
    "accept,media_type",
    [
        (None, "application/problem+json"),
        ("application/json, text/plain, */*", "application/problem+json"),
        ("application/json, application/problem+json", "application/problem+json"),
        ("application/json", "application/json"),
        ("Application/JSON;q=0.9, text/html", "application/json"),
        ("text/html", "application/problem+json"),
    ],
)
async def test_client_that_accepts_only_json_receives_json(service: Service, accept: str | None, media_type: str):
    response = await service.client.get("/api/v1/images", headers={"Accept": accept} if accept else {})
    assert (response.headers["content-type"], response.headers["vary"]) == (media_type, "Accept, Origin")
    body = response.json()
    assert body["code"] == "token_missing"
    assert body.get("error") == (body["detail"] if media_type == "application/json" else None)


async def test_wrong_method_returns_all_allowed_methods(service: Service):
    for path, allowed in (
        ("/api/v1/images", "GET, HEAD"),
        ("/api/v1/images/0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10", "DELETE, GET, HEAD, PATCH"),
        ("/api/v1/images/upload", "POST"),
        ("/api/v1/auth/token", "POST"),
    ):
        response = await service.client.put(path)
        assert (response.status_code, response.headers["allow"]) == (405, allowed)


async def test_token_is_verified_before_the_body_is_read_on_every_route(service: Service):
    for method, path in (
        ("POST", "/images/delete"),
        ("POST", "/images/uploads"),
        ("PATCH", "/images/0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"),
    ):
        for body in (b"{", bytes(1 << 20)):
            response = await service.client.request(
                method, f"/api/v1{path}", content=body, headers={"Content-Type": "application/json"}
            )
            assert (response.status_code, response.json()["code"]) == (401, "token_missing")


async def test_internal_error_has_cors_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    origin = {"Origin": "https://app.example.com"}
    async with running(embedded_settings(tmp_path, cors_origins=("https://app.example.com",))) as service:
        person = await service.person()
        monkeypatch.setattr(service.services.library, "page", None)
        responses = [
            await service.client.get("/api/v1/images", headers=origin),
            await person.get("/images", headers=origin),
            await service.client.post("/api/v1/auth/register", content=bytes(1 << 20), headers=origin),
        ]
        assert [response.status_code for response in responses] == [401, 500, 413]
        assert {r.headers.get("access-control-allow-origin") for r in responses} == {"https://app.example.com"}
        stranger = await person.get("/images", headers={"Origin": "https://evil.example"})
        assert "access-control-allow-origin" not in stranger.headers


async def drain(service: Service, path: str, messages: AsyncIterator[Message]) -> None:
    """Send a POST whose body is `messages`, which the service drains after its response."""
    scope = {
        "type": "http",
        "asgi": {"version": "3.0", "spec_version": "2.3"},
        "http_version": "1.1",
        "method": "POST",
        "path": path,
        "query_string": b"",
        "headers": [(b"transfer-encoding", b"chunked")],
        "client": ("203.0.113.7", 4711),
    }

    async def send(message: Message) -> None:
        pass

    await service.app(scope, messages.__anext__, send)


@pytest.mark.parametrize("status", [401, 500])
async def test_request_is_logged_and_counted_before_its_connection_is_drained(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, status: int
):
    caplog.set_level(logging.INFO)
    if status == 500:
        monkeypatch.setattr("app.api.dependencies.TokenMissing", RuntimeError)
    counted: list[int] = []
    monkeypatch.setattr(
        service.app.state.services.metrics, "count_request", lambda **labels: counted.append(labels["status"])
    )
    in_time: list[bool] = []

    async def body() -> AsyncIterator[Message]:
        in_time.append("request.completed" in caplog.text and counted == [status])
        yield {"type": "http.request", "body": b"the rest", "more_body": False}

    await drain(service, "/api/v1/images/upload", body())
    assert in_time == [True]


async def test_incomplete_draining_is_logged(service: Service, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    mebibyte = bytes(1024 * 1024)
    drained = 0

    async def body() -> AsyncIterator[Message]:
        nonlocal drained
        while True:
            drained += len(mebibyte)
            yield {"type": "http.request", "body": mebibyte, "more_body": True}

    await drain(service, "/api/v1/images/upload", body())
    assert drained == service.settings.max_file_size + 65 * len(mebibyte)  # the last of it passes the limit
    (line,) = [r.msg for r in caplog.records if isinstance(r.msg, dict) and r.msg["event"] == "request.not_drained"]
    assert (line["status"], line["limit"], len(line["request_id"])) == (401, "bytes", 36)


async def test_request_id_is_accepted_or_generated(service: Service):
    response = await service.client.get("/health/live", headers={"X-Request-ID": "from-the-client.1"})
    assert response.headers["x-request-id"] == "from-the-client.1"
    response = await service.client.get("/health/live", headers={"X-Request-ID": "bad id\x7f"})
    assert len(response.headers["x-request-id"]) == 36


async def test_internal_error_contains_no_stack_trace(
    service: Service, person: Person, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    async def broken(*_: object, **__: object) -> None:
        raise RuntimeError("the secret of the house")

    monkeypatch.setattr(service.services.library, "page", broken)
    response = await person.get("/images")
    assert (response.status_code, response.json()["code"]) == (500, "internal")
    assert "secret of the house" not in response.text
    assert "request.failed" in caplog.text


async def test_secrets_are_not_logged(service: Service, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.DEBUG)
    person = await service.person()
    await service.client.post("/api/v1/auth/token", data={"username": person.email, "password": "wrong-passphrase-1"})
    view = (await person.upload(jpeg(40, 40))).json()
    await service.fetch(view["original_url"])
    await service.client.get("/api/v1/images", headers={"Authorization": "Bearer broken-token-1"})
    await service.client.post("/api/v1/auth/refresh", json={"refresh_token": "broken-refresh-1"})
    log = caplog.text
    assert "request.completed" in log
    assert view["original_url"].split("?")[0].removeprefix("http://service.test") in log
    secrets = [
        PASSWORD,
        "wrong-passphrase-1",
        "broken-token-1",
        "broken-refresh-1",
        person.tokens["access_token"],
        person.tokens["refresh_token"],
        view["original_url"].split("signature=")[1][:16],
    ]
    assert [secret for secret in secrets if secret in log] == []


async def test_request_is_logged_in_one_line_with_its_id_and_user(
    service: Service, person: Person, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    response = await person.get("/images")
    lines = [r for r in caplog.records if isinstance(r.msg, dict) and r.msg["event"] == "request.completed"]
    assert len(lines) == 1
    line: Any = lines[0].msg
    assert line["request_id"] == response.headers["x-request-id"]
    assert line["user_id"] == person.tokens["user"]["id"]
    assert (line["status"], line["path"]) == (200, "/api/v1/images")


async def test_responses_are_not_cached_and_not_sniffed(service: Service, person: Person):
    headers = (await person.get("/images")).headers
    assert (headers["cache-control"], headers["x-content-type-options"]) == ("no-store", "nosniff")


@pytest.mark.parametrize("prefix", ["", "/api/v1"])
async def test_health_names_what_is_down(service: Service, monkeypatch: pytest.MonkeyPatch, prefix: str):
    assert (await service.client.get(f"{prefix}/health/live")).json() == {"status": "ok", "proxy_trusted": None}
    assert (await service.client.get(f"{prefix}/health/ready")).json() == {"status": "ok"}

    async def down() -> None:
        raise DependencyUnavailable("store")

    monkeypatch.setitem(service.services.health_checks, "store", down)
    response = await service.client.get(f"{prefix}/health/ready")
    assert (response.status_code, response.json()["code"]) == (503, "not_ready")
    assert "store" in response.json()["detail"]
    assert "table" not in response.json()["detail"]
    assert response.headers["retry-after"]


async def test_a_health_check_is_logged_only_if_it_fails(
    service: Service, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
):
    caplog.set_level(logging.INFO)
    assert (await service.client.get("/health/live")).status_code == 200
    assert (await service.client.get("/health/ready")).status_code == 200
    assert "request.completed" not in caplog.text

    async def down() -> None:
        raise RuntimeError("no disk")

    monkeypatch.setitem(service.services.health_checks, "store", down)
    assert (await service.client.get("/health/ready")).status_code == 503
    assert "request.completed" in caplog.text
