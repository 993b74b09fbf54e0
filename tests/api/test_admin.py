"""The admin API, server keys, and the audit log."""

from __future__ import annotations

import re
from typing import Any

import httpx
import pytest

from app.api.auditing import ACTIONS
from app.domain.administration import Scope
from tests.api.conftest import PASSWORD, Person, Service
from tests.api.test_account_deletion import leave as deleted
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

NOT_AUDITED = {
    "refresh_tokens",
    "request_password_reset",
    "initiate_upload",
    "retry_thumbnails",
    "terminate_resumable_upload",
    "open_shared_images",
}
"""Routes that change nothing that the audit log is about. Signed URLs of objects have no user."""


async def key_headers(service: Service, *scopes: Scope) -> dict[str, str]:
    _, token = await service.services.server_keys.create("test", scopes)
    return {"Authorization": f"Bearer {token}"}


def code(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["code"]


async def get(service: Service, path: str, headers: dict[str, str]) -> httpx.Response:
    return await service.client.get(f"/api/v1{path}", headers=headers)


async def all_items(service: Service, path: str, headers: dict[str, str]) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await get(service, f"{path}{cursor}", headers)).json()
        items += page["items"]
        cursor = f"&cursor={page['next_cursor']}" if page["next_cursor"] else None
    return items


async def test_users_are_listed_and_shown(both: Service):
    headers = await key_headers(both, Scope.USERS_READ)
    people = [await both.person() for _ in range(3)]
    image = (await people[0].upload()).json()
    listed = {user["id"]: user for user in await all_items(both, "/admin/users?limit=2", headers)}
    for person in people:
        user = person.tokens["user"]
        usage = {"images": 1, "bytes": image["size"]} if person is people[0] else {"images": 0, "bytes": 0}
        assert listed[user["id"]] == {**user, "disabled_at": None, "is_closed": False, "usage": usage}
        assert (await get(both, f"/admin/users/{user['id']}", headers)).json() == listed[user["id"]]


async def test_an_unknown_user_is_not_found(service: Service):
    headers = await key_headers(service, Scope.USERS_READ, Scope.USERS_DELETE)
    for user_id in ("nobody", "..", "a" * 200, "%00"):
        assert (await get(service, f"/admin/users/{user_id}", headers)).status_code == 404
        deleted = await service.client.delete(f"/api/v1/admin/users/{user_id}", headers=headers)
        assert deleted.status_code == 404


async def test_a_user_is_deleted_with_everything(both: Service):
    person = await both.person()
    image = (await person.upload()).json()
    user_id = person.tokens["user"]["id"]
    headers = await key_headers(both, Scope.USERS_READ, Scope.USERS_DELETE, Scope.AUDIT_READ)
    response = await both.client.delete(f"/api/v1/admin/users/{user_id}", headers=headers)
    assert response.status_code == 202
    assert code(await person.get("/images")) == (401, "token_invalid")
    await deleted(both, user_id)
    assert (await both.fetch(image["original_url"])).status_code in (403, 404)
    assert code(await get(both, f"/admin/users/{user_id}", headers)) == (404, "user_not_found")
    entries = await all_items(both, f"/admin/audit?user_id={user_id}", headers)
    assert [entry["action"] for entry in entries] == ["account.closed", "image.uploaded", "account.registered"]
    assert {entry["address"] for entry in entries} == {None}


async def test_a_key_acts_on_behalf_of_a_user(both: Service):
    person = await both.person()
    user_id = person.tokens["user"]["id"]
    headers = {**await key_headers(both, Scope.IMAGES), "X-On-Behalf-Of": user_id}
    files = {"file": ("photo.jpg", jpeg())}
    uploaded = await both.client.post("/api/v1/images/upload", files=files, headers=headers)
    assert uploaded.status_code == 201
    image_id = uploaded.json()["id"]
    assert [image["id"] for image in (await person.get("/images")).json()["items"]] == [image_id]
    events = await get(both, f"/images/{image_id}/events", headers)
    assert "event: image" in events.text
    assert (await both.client.delete(f"/api/v1/images/{image_id}", headers=headers)).status_code == 204
    audit = await all_items(both, f"/admin/audit?user_id={user_id}", await key_headers(both, Scope.AUDIT_READ))
    key_id = headers["Authorization"].removeprefix("Bearer isk_")[:36]
    assert [(entry["action"], entry["actor"], entry["target"]) for entry in audit[:2]] == [
        ("image.deleted", f"key:{key_id}", image_id),
        ("image.uploaded", f"key:{key_id}", image_id),
    ]


async def test_a_key_does_only_what_its_scopes_allow(service: Service, person: Person):
    user_id = person.tokens["user"]["id"]
    on_behalf = {"X-On-Behalf-Of": user_id}
    reading, acting = await key_headers(service, Scope.USERS_READ), await key_headers(service, Scope.IMAGES)
    assert code(await get(service, "/admin/audit", reading)) == (403, "server_key_refused")
    deleting = await service.client.delete(f"/api/v1/admin/users/{user_id}", headers=reading)
    assert code(deleting) == (403, "server_key_refused")
    assert code(await get(service, "/images", reading | on_behalf)) == (403, "server_key_refused")
    assert code(await get(service, "/admin/users", acting)) == (403, "server_key_refused")
    assert (await get(service, "/images", acting | on_behalf)).status_code == 200
    for wrong in ({}, {"X-On-Behalf-Of": "../x"}):
        assert code(await get(service, "/images", acting | wrong)) == (422, "request_invalid")
    assert code(await get(service, "/auth/me", acting | on_behalf)) == (401, "token_invalid")


async def test_a_key_cannot_act_on_behalf_of_unknown_and_disabled_users(service: Service):
    person = await service.person()
    user_id = person.tokens["user"]["id"]
    acting = await key_headers(service, Scope.IMAGES)
    assert code(await get(service, "/images", acting | {"X-On-Behalf-Of": "nobody"})) == (404, "user_not_found")
    await service.services.user_administration.disable(user_id)
    assert code(await get(service, "/images", acting | {"X-On-Behalf-Of": user_id})) == (403, "account_disabled")
    await service.services.user_administration.enable(user_id)
    assert (await get(service, "/images", acting | {"X-On-Behalf-Of": user_id})).status_code == 200


async def test_unknown_and_revoked_keys_are_refused(service: Service, person: Person):
    key, token = await service.services.server_keys.create("test", [Scope.USERS_READ])
    revoked_key, revoked = await service.services.server_keys.create("test", [Scope.USERS_READ])
    await service.services.server_keys.revoke(revoked_key.id)
    tokens = ["isk_", f"isk_{key.id}_{'A' * 43}", token[:-1], f"{token}A", revoked, person.tokens["access_token"]]
    for wrong in tokens:
        headers = {"Authorization": f"Bearer {wrong}"}
        assert code(await get(service, "/admin/users", headers)) == (401, "server_key_invalid"), wrong
    assert code(await get(service, "/admin/users", {})) == (401, "token_missing")
    assert (await get(service, "/admin/users", {"Authorization": f"Bearer {token}"})).status_code == 200


async def test_a_revoked_key_stops_working_within_seconds(service: Service, monkeypatch: pytest.MonkeyPatch):
    keys = service.services.server_keys
    key, token = await keys.create("test", [Scope.USERS_READ])
    headers = {"Authorization": f"Bearer {token}"}
    assert (await get(service, "/admin/users", headers)).status_code == 200
    await keys.revoke(key.id)
    keys._valid.clear()  # as after five seconds
    assert code(await get(service, "/admin/users", headers)) == (401, "server_key_invalid")


async def test_who_did_what_is_recorded_with_the_address(both: Service):
    person = await both.person()
    user_id = person.tokens["user"]["id"]
    image_id = (await person.upload()).json()["id"]
    await person.request("PATCH", f"/images/{image_id}", json={"description": "At the sea"})
    await person.request("PATCH", "/auth/me", json={"display_name": "Ada"})
    assert (await person.post("/images/delete", json={"ids": [image_id, image_id]})).status_code == 200
    assert (await person.get(f"/images/{image_id}")).status_code == 404
    form = {"username": person.email, "password": PASSWORD}
    assert (await both.client.post("/api/v1/auth/token", data=form)).status_code == 200
    headers = await key_headers(both, Scope.AUDIT_READ)
    entries = await all_items(both, f"/admin/audit?limit=2&user_id={user_id}", headers)
    assert [(entry["action"], entry["target"]) for entry in entries[1:]] == [
        ("image.deleted", image_id),
        ("account.changed", None),
        ("image.changed", image_id),
        ("image.uploaded", image_id),
        ("account.registered", None),
    ]
    assert entries[0]["action"] == "session.started"
    assert {(entry["actor"], entry["address"]) for entry in entries} == {(f"user:{user_id}", "203.0.113.7")}
    assert entries == [entry for entry in await all_items(both, "/admin/audit?limit=100", headers) if entry in entries]


async def test_a_refused_request_is_not_recorded(service: Service):
    person = await service.person()
    await person.upload(b"not an image")
    await person.request("DELETE", "/images/00000000-0000-7000-8000-000000000000")
    headers = await key_headers(service, Scope.AUDIT_READ)
    entries = await all_items(service, f"/admin/audit?user_id={person.tokens['user']['id']}", headers)
    assert [entry["action"] for entry in entries] == ["account.registered"]


async def test_every_route_that_changes_something_is_audited_or_listed(service: Service):
    changing = {
        operation["operationId"]
        for operations in service.app.openapi()["paths"].values()
        for method, operation in operations.items()
        if method != "get"
    }
    names = (re.sub(r"_(.)", lambda match: match[1].upper(), name) for name in ACTIONS.keys() | NOT_AUDITED)
    # Clients that can send only POST use a route that is not described.
    assert changing - {"putObject", "postObject"} | {"overrideMethod"} == set(names)


async def test_a_disabled_account_cannot_be_used(service: Service):
    person = await service.person()
    user_id = person.tokens["user"]["id"]
    await service.services.user_administration.disable(user_id)
    assert code(await person.get("/images")) == (401, "token_invalid")
    form = {"username": person.email, "password": PASSWORD}
    assert code(await service.client.post("/api/v1/auth/token", data=form)) == (403, "account_disabled")
    wrong = {**form, "password": "wrong password"}
    assert code(await service.client.post("/api/v1/auth/token", data=wrong)) == (401, "credentials_invalid")
    await service.services.user_administration.enable(user_id)
    assert (await service.client.post("/api/v1/auth/token", data=form)).status_code == 200
