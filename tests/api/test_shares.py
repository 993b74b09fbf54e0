"""Shares as their owner manages them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from app.domain.ids import new_id
from tests.api.conftest import Person, Service
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOMORROW = (datetime.now(UTC) + timedelta(days=1)).isoformat()


async def make_share(person: Person, **fields: Any) -> dict[str, Any]:
    image = (await person.upload(jpeg(300, 200))).json()
    response = await person.post("/shares", json={"image_ids": [image["id"]], **fields})
    assert response.status_code == 201, response.text
    share: dict[str, Any] = response.json()
    return share


async def test_a_share_is_created_listed_changed_and_revoked(both: Service):
    person = await both.person()
    first = await make_share(person)
    assert (first["title"], first["download"], first["expires_at"], first["has_password"]) == (
        None,
        "none",
        None,
        False,
    )
    second = await make_share(
        person, title=" Summer ", expires_at=TOMORROW, password="open sesame", download="rendition"
    )
    assert (second["title"], second["download"], second["has_password"]) == ("Summer", "rendition", True)
    listed = (await person.get("/shares")).json()
    assert listed == {"items": [second, first], "next_cursor": None}
    changed = await person.request("PATCH", f"/shares/{second['id']}", json={"title": None, "password": None})
    assert changed.json() == {**second, "title": None, "has_password": False}
    assert (await person.get(f"/shares/{second['id']}")).json() == changed.json()
    assert (await person.request("DELETE", f"/shares/{second['id']}")).status_code == 204
    assert (await person.get(f"/shares/{second['id']}")).json()["code"] == "share_missing"
    assert (await person.request("DELETE", f"/shares/{second['id']}")).status_code == 404


async def test_pages_of_shares(service: Service):
    person = await service.person()
    ids = [(await make_share(person))["id"] for _ in range(3)]
    page = (await person.get("/shares", params={"limit": 2})).json()
    rest = (await person.get("/shares", params={"limit": 2, "cursor": page["next_cursor"]})).json()
    assert [share["id"] for share in [*page["items"], *rest["items"]]] == ids[::-1]
    assert rest["next_cursor"] is None


async def test_only_own_images_are_shared(both: Service):
    person, stranger = await both.person(), await both.person()
    own = (await person.upload()).json()["id"]
    other, missing = (await stranger.upload(jpeg(40, 30))).json()["id"], new_id()
    response = await person.post("/shares", json={"image_ids": [own, other, missing]})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    assert [each["message"][-36:] for each in response.json()["errors"]] == [other, missing]
    share = await make_share(person)
    response = await person.request("PATCH", f"/shares/{share['id']}", json={"image_ids": [other]})
    assert response.status_code == 422


async def test_a_share_of_another_person_is_missing(service: Service):
    person, stranger = await service.person(), await service.person()
    share = await make_share(person)
    for method in ("GET", "DELETE"):
        assert (await stranger.request(method, f"/shares/{share['id']}")).status_code == 404
    assert (await stranger.request("PATCH", f"/shares/{share['id']}", json={"title": "Mine"})).status_code == 404
    assert (await stranger.get("/shares")).json()["items"] == []


@pytest.mark.parametrize(
    "fields, field",
    [
        ({"image_ids": []}, "image_ids"),
        ({"image_ids": [new_id()] * 501}, "image_ids"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2030-01-01T00:00:00"}, "expires_at"),
        ({"password": "abc"}, "password"),
        ({"download": "original"}, "download"),
        ({"title": "x" * 201}, "title"),
        ({"titel": "Summer"}, "titel"),
    ],
)
async def test_wrong_fields_are_told(person: Person, fields: dict[str, Any], field: str):
    image = (await person.upload()).json()
    response = await person.post("/shares", json={"image_ids": [image["id"]], **fields})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    assert [each["field"] for each in response.json()["errors"]] == [f"body.{field}"]
