"""Changes of an account, its sessions, and its deletion."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from app.api.events import Watchers
from app.domain.errors import AppCheckFailed
from app.domain.jobs import Job
from tests.api.conftest import PASSWORD, Person, Service, embedded_settings, parsed, running
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

NEW_PASSWORD = "another long passphrase"


async def sign_in(service: Service, person: Person, *, password: str = PASSWORD, agent: str = "Firefox") -> Person:
    response = await service.client.post(
        "/api/v1/auth/token", data={"username": person.email, "password": password}, headers={"User-Agent": agent}
    )
    assert response.status_code == 200, response.text
    return Person(service.client, person.email, response.json())


async def refresh(service: Service, person: Person) -> httpx.Response:
    body = {"refresh_token": person.tokens["refresh_token"]}
    return await service.client.post("/api/v1/auth/refresh", json=body)


async def sessions(person: Person) -> list[dict[str, Any]]:
    response = await person.get("/auth/sessions")
    assert response.status_code == 200, response.text
    listed: list[dict[str, Any]] = response.json()["sessions"]
    return listed


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


@contextmanager
def later(service: Service, elapsed: timedelta) -> Iterator[None]:
    """Make the time of the service later, while the tokens stay valid."""
    accounts: Any = service.services.accounts
    clock = accounts._clock
    accounts._clock = lambda: clock() + elapsed
    try:
        yield
    finally:
        accounts._clock = clock


async def test_the_name_of_an_account_is_changed_and_removed(both: Service):
    person = await both.person()
    changed = await person.request("PATCH", "/auth/me", json={"display_name": "Ada  \u202e"})
    assert (changed.status_code, changed.json()["display_name"]) == (200, "Ada")
    assert (await person.request("PATCH", "/auth/me", json={})).json() == changed.json()
    assert (await person.request("PATCH", "/auth/me", json={"display_name": None})).json()["display_name"] is None


async def test_a_new_password_ends_all_other_sessions(both: Service):
    phone = await both.person()
    laptop = await sign_in(both, phone)
    body = {"password": NEW_PASSWORD, "current_password": PASSWORD}
    assert (await laptop.request("PATCH", "/auth/me", json=body)).status_code == 200
    assert code(await phone.get("/images")) == (401, "token_invalid")
    assert code(await refresh(both, phone)) == (401, "refresh_token_invalid")
    assert (await laptop.get("/images")).status_code == 200
    assert (await refresh(both, laptop)).status_code == 200
    await sign_in(both, phone, password=NEW_PASSWORD)


@pytest.mark.parametrize(
    "body,expected",
    [
        ({"password": NEW_PASSWORD}, (422, "request_invalid")),
        ({"password": NEW_PASSWORD, "current_password": "wrong password"}, (403, "password_incorrect")),
        ({"password": "short", "current_password": PASSWORD}, (422, "password_weak")),
        ({"display_name": "x" * 101}, (422, "request_invalid")),
        ({"email": "new@example.com"}, (422, "request_invalid")),
    ],
)
async def test_a_refused_change_leaves_the_account_as_it_was(
    service: Service, person: Person, body: dict[str, str], expected: tuple[int, str]
):
    assert code(await person.request("PATCH", "/auth/me", json=body)) == expected
    await sign_in(service, person)


async def test_guessing_the_current_password_is_limited(service: Service):
    person = await service.person()
    body = {"password": NEW_PASSWORD, "current_password": "wrong password"}
    for _ in range(10):
        assert code(await person.request("PATCH", "/auth/me", json=body)) == (403, "password_incorrect")
    right = {**body, "current_password": PASSWORD}
    assert code(await person.request("PATCH", "/auth/me", json=right)) == (429, "too_many_attempts")
    assert code(await person.request("DELETE", "/auth/me", json={"password": PASSWORD})) == (429, "too_many_attempts")


async def test_signing_out_ends_the_session_and_no_other(both: Service):
    phone = await both.person()
    laptop = await sign_in(both, phone)
    assert (await phone.post("/auth/logout")).status_code == 204
    assert code(await phone.get("/images")) == (401, "token_invalid")
    assert code(await refresh(both, phone)) == (401, "refresh_token_invalid")
    assert (await laptop.get("/images")).status_code == 200


async def test_sessions_are_listed_and_ended(both: Service):
    phone = await both.person()
    laptop, tablet = await sign_in(both, phone, agent="Laptop\x1b"), await sign_in(both, phone, agent="T" * 500)
    listed = await sessions(laptop)
    assert [session["user_agent"] for session in listed][:2] == ["T" * 200, "Laptop"]
    assert [session["is_current"] for session in listed] == [False, True, False]
    created, expires = (datetime.fromisoformat(listed[0][name]) for name in ("created_at", "expires_at"))
    assert expires - created == timedelta(days=30)

    assert (await laptop.request("DELETE", f"/auth/sessions/{listed[0]['id'].upper()}")).status_code == 204
    assert code(await tablet.get("/images")) == (401, "token_invalid")
    assert code(await laptop.request("DELETE", f"/auth/sessions/{listed[0]['id']}")) == (404, "session_not_found")
    assert (await laptop.request("DELETE", "/auth/sessions")).status_code == 204
    assert [session["is_current"] for session in await sessions(laptop)] == [True]
    assert code(await phone.get("/images")) == (401, "token_invalid")


async def test_the_most_recently_used_session_comes_first(service: Service):
    phone = await service.person()
    laptop = await sign_in(service, phone, agent="Laptop")
    await refresh(service, phone)
    assert [session["user_agent"] == "Laptop" for session in await sessions(laptop)] == [False, True]


async def test_the_session_of_another_user_does_not_exist(service: Service, person: Person):
    stranger = await service.person()
    (session,) = await sessions(stranger)
    for session_id in (session["id"], "x", "..%2F"):
        assert (await person.request("DELETE", f"/auth/sessions/{session_id}")).status_code == 404
    assert (await stranger.get("/images")).status_code == 200


async def test_an_event_stream_ends_with_its_session(service: Service, monkeypatch: pytest.MonkeyPatch):
    phone = await service.person()
    laptop = await sign_in(service, phone)

    async def never_sent(_job: Job) -> None:
        """Leave the thumbnails pending, so that the stream stays open."""

    monkeypatch.setattr(service.services.jobs, "send", never_sent)
    files = {"file": ("photo.jpg", jpeg())}
    image = (await phone.post("/images/upload", files=files, headers={"Prefer": "respond-async"})).json()
    stream = asyncio.create_task(phone.get(f"/images/{image['id']}/events"))
    watchers: Watchers = service.app.state.watchers
    async with asyncio.timeout(60):
        while not watchers._watching[phone.tokens["user"]["id"]]:  # noqa: ASYNC110 - there is no such event
            await asyncio.sleep(0.2)
        (session,) = [each for each in await sessions(laptop) if not each["is_current"]]
        await laptop.request("DELETE", f"/auth/sessions/{session['id']}")
        response = await stream
    assert response.text.rstrip().endswith(": token_invalid")
    assert len(parsed(response.text)) == 1


async def test_an_account_is_deleted_after_a_recent_sign_in_or_with_the_password(service: Service):
    for body in (None, {"password": PASSWORD}):
        person = await service.person()
        with later(service, timedelta(minutes=6)):
            assert code(await person.request("DELETE", "/auth/me")) == (403, "sign_in_again")
            wrong = await person.request("DELETE", "/auth/me", json={"password": "wrong password"})
            assert code(wrong) == (403, "password_incorrect")
            if body:
                assert (await person.request("DELETE", "/auth/me", json=body)).status_code == 202
        if not body:
            assert (await person.request("DELETE", "/auth/me")).status_code == 202
        assert code(await person.get("/images")) == (401, "token_invalid")


async def test_requests_need_an_app_check_token_if_the_service_requires_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    async with running(embedded_settings(tmp_path)) as service:
        person = await service.person()
        monkeypatch.setattr(service.app.state, "services", replace(service.services, app_check=GenuineOnly()))
        form = {"username": person.email, "password": PASSWORD}
        assert code(await person.get("/images")) == (401, "app_check_failed")
        assert code(await service.client.post("/api/v1/auth/token", data=form)) == (401, "app_check_failed")
        headers = {"X-Firebase-AppCheck": "genuine"}
        assert (await person.get("/images", headers=headers)).status_code == 200
        response = await service.client.post("/api/v1/auth/token", data=form, headers=headers)
        assert response.status_code == 200


class GenuineOnly:
    async def verify(self, token: str | None) -> None:
        if token != "genuine":
            raise AppCheckFailed
