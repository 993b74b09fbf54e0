from __future__ import annotations

import pytest

from tests.api.conftest import PASSWORD, Person, Service

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def sign_in(service: Service, email: str, password: str = PASSWORD) -> tuple[int, dict[str, object]]:
    response = await service.client.post("/api/v1/auth/token", data={"username": email, "password": password})
    return response.status_code, response.json()


async def test_registration_returns_the_user_and_valid_tokens(both: Service):
    body = {"email": "Ada@Example.com", "password": PASSWORD, "display_name": "Ada"}
    response = await both.client.post("/api/v1/auth/register", json=body)
    assert response.status_code == 201
    view = response.json()
    assert (view["user"]["display_name"], view["token_type"], view["expires_in"]) == ("Ada", "bearer", 1800)
    me = await Person(both.client, "", view).get("/auth/me")
    assert me.json() == {
        **view["user"],
        "usage": {"images": 0, "bytes": 0, "reserved_bytes": 0, "limit": {"images": None, "bytes": None}},
    }
    taken = await both.client.post("/api/v1/auth/register", json={**body, "email": "ada@example.COM"})
    assert (taken.status_code, taken.json()["code"]) == (409, "email_taken")


@pytest.mark.parametrize(
    "body, code",
    [
        ({"email": "new@example.com", "password": "short"}, "password_weak"),
        ({"email": "new@example.com", "password": "password123"}, "password_weak"),
        ({"email": "not an address", "password": PASSWORD}, "email_invalid"),
        ({"email": "new@example.com"}, "request_invalid"),
    ],
)
async def test_invalid_registration_returns_the_reason(service: Service, body: dict[str, str], code: str):
    response = await service.client.post("/api/v1/auth/register", json=body)
    assert (response.status_code, response.json()["code"]) == (422, code)


async def test_unknown_account_and_wrong_password_get_the_same_response(service: Service, person: Person):
    wrong, unknown = await sign_in(service, person.email, "wrong password"), await sign_in(service, "no@example.com")
    assert wrong[0] == unknown[0] == 401
    assert {**wrong[1], "request_id": ""} == {**unknown[1], "request_id": ""}
    assert wrong[1]["code"] == "credentials_invalid"


@pytest.mark.parametrize("as_json", [True, False])
async def test_the_reuse_of_a_refresh_token_ends_the_session(both: Service, *, as_json: bool):
    person = await both.person()
    _, tokens = await sign_in(both, person.email)

    async def refresh(token: object) -> tuple[int, dict[str, object]]:
        body = {"refresh_token": token}
        arguments = {"json": body} if as_json else {"data": body}
        response = await both.client.post("/api/v1/auth/refresh", **arguments)  # type: ignore[arg-type]
        return response.status_code, response.json()

    status, renewed = await refresh(tokens["refresh_token"])
    assert status == 200
    assert (await Person(both.client, "", renewed).get("/images")).status_code == 200
    status, repeated = await refresh(tokens["refresh_token"])
    assert (status, repeated["refresh_token"]) == (200, renewed["refresh_token"])
    status, newest = await refresh(renewed["refresh_token"])
    assert status == 200
    assert (await refresh(tokens["refresh_token"]))[1]["code"] == "refresh_token_invalid"
    assert (await refresh(newest["refresh_token"]))[1]["code"] == "refresh_token_invalid"


async def test_refresh_without_a_token_is_rejected(service: Service):
    url = "/api/v1/auth/refresh"
    assert (await service.client.post(url, json={})).json()["code"] == "request_invalid"
    assert (await service.client.post(url, data={"a": "b"})).json()["code"] == "request_invalid"
    broken = await service.client.post(url, content=b"{", headers={"Content-Type": "application/json"})
    assert (broken.status_code, broken.json()["code"]) == (400, "json_invalid")


async def test_repeated_wrong_passwords_are_rate_limited_with_retry_after(service: Service, person: Person):
    for _ in range(30):
        response = await service.client.post(
            "/api/v1/auth/token", data={"username": person.email, "password": "wrong password"}
        )
        if response.status_code == 429:
            break
    assert (response.status_code, response.json()["code"]) == (429, "too_many_attempts")
    assert 0 < int(response.headers["retry-after"]) <= 3600


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhIn0."])
async def test_invalid_token_is_rejected(service: Service, token: str):
    response = await service.client.get("/api/v1/images", headers={"Authorization": f"Bearer {token}"})
    assert response.status_code == 401
    assert response.json()["code"] in ("token_invalid", "token_missing")
    assert response.headers["www-authenticate"] == "Bearer"
