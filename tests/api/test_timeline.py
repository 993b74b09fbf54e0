"""Tests of the list of images by the time at which they were taken, and of its months, over HTTP."""

from __future__ import annotations

from typing import Any

import pytest

from app.tables.dynamodb import DynamoDBImageTable
from app.tables.dynamodb.keys import month_key
from app.tables.dynamodb.timeline import entry_key
from tests.api.conftest import Person, Service
from tests.exif_data import exif
from tests.pictures import jpeg

pytestmark = pytest.mark.asyncio(loop_scope="session")

TIMES = ["2024-05-01T00:00:00", "2019-12-31T23:59:59", "2024-05-31T12:00:00"]


async def upload_taken(person: Person, time: str) -> str:
    photo = jpeg(20, 20, exif=exif(time=time.replace("-", ":").replace("T", " ")).tobytes())
    response = await person.upload(photo)
    assert response.json()["metadata"]["taken_at"].startswith(time)
    image_id: str = response.json()["id"]
    return image_id


async def listed(person: Person, **query: Any) -> list[str]:
    response = await person.get("/images", params=query)
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


async def test_images_are_listed_by_the_time_at_which_they_were_taken(both: Service):
    person = await both.person()
    may, december, late_may = [await upload_taken(person, time) for time in TIMES]
    undated = (await person.upload(jpeg(20, 20))).json()["id"]
    assert await listed(person) == await listed(person, sort="uploaded_at") == [undated, late_may, december, may]
    assert await listed(person, sort="taken_at") == [undated, late_may, may, december]
    assert await listed(person, taken_after="2024-05-01", taken_before="2024-06-01") == [late_may, may]
    assert await listed(person, taken_after="2024-05-01T00:00:01", taken_before="2024-05-31T12:00") == []
    assert await listed(person, taken_after="2024-06-01", taken_before="2024-05-01") == []
    page = (await person.get("/images", params={"sort": "taken_at", "limit": 3})).json()
    assert await listed(person, sort="taken_at", cursor=page["next_cursor"]) == [december]
    timeline = (await person.get("/images/timeline")).json()
    assert timeline["months"][1:] == [{"month": "2024-05", "images": 2}, {"month": "2019-12", "images": 1}]
    assert (len(timeline["months"]), timeline["months"][0]["images"], timeline["images"]) == (3, 1, 4)
    await person.request("DELETE", f"/images/{may}")
    timeline = (await person.get("/images/timeline")).json()
    assert (timeline["months"][1], timeline["images"]) == ({"month": "2024-05", "images": 1}, 3)


async def test_a_user_without_images_has_no_months(person: Person):
    assert (await person.get("/images/timeline")).json() == {"months": [], "images": 0}


async def test_a_cursor_is_valid_only_for_its_order_and_period(person: Person):
    for time in TIMES:
        await upload_taken(person, time)
    uploaded = (await person.get("/images", params={"limit": 1})).json()["next_cursor"]
    taken = (await person.get("/images", params={"limit": 1, "sort": "taken_at"})).json()["next_cursor"]
    for query in (
        {"sort": "taken_at", "cursor": uploaded},
        {"cursor": taken},
        {"sort": "taken_at", "cursor": taken, "taken_before": "2020-01-01"},
    ):
        response = await person.get("/images", params=query)
        assert (response.status_code, response.json()["code"]) == (400, "cursor_invalid")


@pytest.mark.parametrize(
    "text", ["2024", "2024-05", "2024-02-30", "2024-05-01T25:00", "2024-05-01T00:00:00Z", "2024-05-01T00:00+02:00", ""]
)
@pytest.mark.parametrize("name", ["taken_after", "taken_before"])
async def test_an_invalid_time_is_refused_with_an_example(person: Person, name: str, text: str):
    response = await person.get("/images", params={name: text})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    (error,) = response.json()["errors"]
    assert error["field"] == f"query.{name}"
    assert "2024-05-01T18:30:00" in error["message"]


async def test_a_period_is_refused_in_the_order_of_uploads(person: Person):
    response = await person.get("/images", params={"sort": "uploaded_at", "taken_after": "2024-05-01"})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    assert response.json()["errors"] == [{"field": "query.taken_after", "message": "Needs `sort=taken_at`"}]


async def test_an_unknown_order_is_refused(person: Person):
    response = await person.get("/images", params={"sort": "size"})
    assert (response.status_code, response.json()["errors"][0]["field"]) == (422, "query.sort")


async def test_rerender_adds_images_of_earlier_versions_to_the_timeline(both: Service):
    person = await both.person()
    image_id = await upload_taken(person, TIMES[0])
    tables = both.container.adapters.tables
    if isinstance(tables.images, DynamoDBImageTable):
        owner_id = (await person.get("/auth/me")).json()["id"]
        await tables.images._table.delete(entry_key(await tables.images.get(owner_id, image_id)))
        await tables.images._table.delete(month_key(owner_id, "2024-05"))
        assert (await person.get("/images/timeline")).json() == {"months": [], "images": 0}
    await both.container.rerendering.complete_timeline()
    assert await listed(person, sort="taken_at") == [image_id]
    assert (await person.get("/images/timeline")).json() == {
        "months": [{"month": "2024-05", "images": 1}],
        "images": 1,
    }
