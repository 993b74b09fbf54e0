from __future__ import annotations

import asyncio
import base64

import pytest

from tests.api.conftest import Person, Service
from tests.api.test_upload import stored_keys
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

UNKNOWN = "0199f3a1-7c55-7bd0-8f6e-0d4c8d6f2b10"


async def uploaded(person: Person, count: int) -> list[str]:
    return [(await person.upload(jpeg(32, 32, seed=n))).json()["id"] for n in range(count)]


async def test_list_is_newest_first_and_pages_have_no_gap_or_overlap(both: Service):
    person = await both.person()
    ids = await uploaded(person, 7)
    seen: list[str] = []
    cursor = None
    pages = 0
    while True:
        page = (await person.get("/images", params={"limit": 3, **({"cursor": cursor} if cursor else {})})).json()
        seen += [item["id"] for item in page["items"]]
        cursor, pages = page["next_cursor"], pages + 1
        if cursor is None:
            break
    assert (seen, pages) == (ids[::-1], 3)


async def test_page_with_the_last_image_has_no_cursor(person: Person):
    await uploaded(person, 2)
    assert (await person.get("/images", params={"limit": 2})).json()["next_cursor"] is None


async def test_deletion_between_pages_skips_no_other_image(person: Person):
    ids = await uploaded(person, 4)
    page = (await person.get("/images", params={"limit": 2})).json()
    await person.request("DELETE", f"/images/{ids[2]}")
    rest = (await person.get("/images", params={"cursor": page["next_cursor"]})).json()
    assert [item["id"] for item in rest["items"]] == [ids[1], ids[0]]


@pytest.mark.parametrize("limit", ["0", "101", "-1", "many"])
async def test_limit_out_of_range_is_rejected(person: Person, limit: str):
    response = await person.get("/images", params={"limit": limit})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    assert response.json()["errors"][0]["field"] == "query.limit"


@pytest.mark.parametrize("cursor", ["x", "a.b", "ü", ".", base64.b64encode(b"0/0").decode(), "A" * 3000])
async def test_invalid_cursor_is_rejected(person: Person, cursor: str):
    response = await person.get("/images", params={"cursor": cursor})
    assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid")


async def test_changed_cursor_and_cursor_of_another_user_are_rejected(service: Service, person: Person):
    await uploaded(person, 2)
    cursor = (await person.get("/images", params={"limit": 1})).json()["next_cursor"]
    other = await service.person()
    changed = ("A" if cursor[0] != "A" else "B") + cursor[1:]
    for who, presented in ((person, changed), (person, cursor[:-1]), (other, cursor)):
        response = await who.get("/images", params={"cursor": presented})
        assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid")


async def test_edit_changes_only_the_given_fields(both: Service):
    person = await both.person()
    view = (await person.upload(description="first")).json()
    path = f"/images/{view['id']}"
    renamed = (await person.request("PATCH", path, json={"filename": "../new\u202ename.jpg"})).json()
    assert (renamed["filename"], renamed["description"]) == ("newname.jpg", "first")
    cleared = (await person.request("PATCH", path, json={"description": None})).json()
    assert (cleared["filename"], cleared["description"]) == ("newname.jpg", None)
    assert (await person.get(path)).json() == cleared
    assert cleared["sha256"] == view["sha256"]


@pytest.mark.parametrize("body", [{"filename": None}, {"filename": ""}, {"description": "x" * 2001}, {"filename": 5}])
async def test_invalid_edit_is_rejected(person: Person, body: dict[str, object]):
    view = (await person.upload()).json()
    response = await person.request("PATCH", f"/images/{view['id']}", json=body)
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")


async def test_download_has_the_original_content_and_filename(both: Service):
    person = await both.person()
    photo = jpeg(80, 60)
    view = (await person.upload(photo, filename='naïve "day" 日.jpg')).json()
    response = await person.get(f"/images/{view['id']}/file")
    assert response.status_code == 307
    downloaded = await both.fetch(response.headers["location"])
    assert downloaded.content == photo
    disposition = downloaded.headers["content-disposition"]
    assert disposition.startswith("attachment;")
    assert "filename*=UTF-8''na%C3%AFve%20%22day%22%20%E6%97%A5.jpg" in disposition
    part = await both.fetch(response.headers["location"], headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, photo[10:20])


async def test_deletion_removes_record_objects_and_usage(both: Service):
    person = await both.person()
    view = (await person.upload()).json()
    assert len(await stored_keys(both, person.tokens["user"]["id"])) == 5
    response = await person.request("DELETE", f"/images/{view['id']}")
    assert (response.status_code, response.content) == (204, b"")
    assert await stored_keys(both, person.tokens["user"]["id"]) == []
    assert (await both.fetch(view["original_url"])).status_code == 404
    assert (await person.request("DELETE", f"/images/{view['id']}")).json()["code"] == "image_missing"
    assert (await person.get("/auth/me")).json()["usage"]["images"] == 0


async def test_deletion_of_several_images_returns_a_result_for_each(both: Service):
    person = await both.person()
    ids = await uploaded(person, 3)
    response = await person.request("POST", "/images/delete", json={"ids": [ids[0], UNKNOWN, "x", ids[2], ids[0]]})
    assert response.json() == {
        "results": {ids[0]: "deleted", UNKNOWN: "image_missing", "x": "image_missing", ids[2]: "deleted"}
    }
    assert [item["id"] for item in (await person.get("/images")).json()["items"]] == [ids[1]]


@pytest.mark.parametrize("ids", [[], [UNKNOWN] * 101, "all", [5]])
async def test_invalid_list_of_deletions_is_rejected(person: Person, ids: object):
    response = await person.request("POST", "/images/delete", json={"ids": ids})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")


async def test_thumbnails_are_returned_individually_and_as_a_list(person: Person):
    view = (await person.upload(jpeg(1000, 500))).json()
    path = f"/images/{view['id']}/thumbnails"
    assert (await person.get(path)).json() == {"thumbnails": view["thumbnails"]}
    assert (await person.get(f"{path}/500")).json() == view["thumbnails"][1]
    missing = await person.get(f"{path}/501")
    assert (missing.status_code, missing.json()["code"]) == (404, "thumbnail_missing")
    assert (await person.get(f"{path}/big")).status_code == 422


@pytest.mark.parametrize("image_id", [UNKNOWN, "x", "..", "%2e%2e%2f", "5449000000996", "0" * 300])
async def test_unknown_id_returns_404_on_every_route(person: Person, image_id: str):
    for method, suffix, body in (
        ("GET", "", None),
        ("PATCH", "", {"filename": "a"}),
        ("DELETE", "", None),
        ("GET", "/file", None),
        ("GET", "/thumbnails", None),
        ("GET", "/thumbnails/200", None),
    ):
        response = await person.request(method, f"/images/{image_id}{suffix}", json=body)
        assert response.status_code == 404, (method, suffix, response.text)


async def test_images_of_other_users_are_indistinguishable_from_missing_ones(both: Service):
    owner, stranger = await both.person(), await both.person()
    theirs = (await owner.upload()).json()["id"]

    async def answers(image_id: str) -> list[tuple[int, str]]:
        tries = [
            stranger.get(f"/images/{image_id}"),
            stranger.request("PATCH", f"/images/{image_id}", json={"description": "mine"}),
            stranger.request("DELETE", f"/images/{image_id}"),
            stranger.get(f"/images/{image_id}/file"),
            stranger.get(f"/images/{image_id}/thumbnails"),
            stranger.get(f"/images/{image_id}/thumbnails/200"),
            stranger.request("POST", "/images/delete", json={"ids": [image_id]}),
        ]
        responses = await asyncio.gather(*tries)
        return [(r.status_code, r.text.replace(r.headers["x-request-id"], "").replace(image_id, "")) for r in responses]

    assert await answers(theirs) == await answers(UNKNOWN)
    assert (await stranger.get("/images")).json()["items"] == []
    assert (await owner.get(f"/images/{theirs}")).json()["description"] is None
