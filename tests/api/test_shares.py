"""Shares as their owner manages them."""

from __future__ import annotations

import io
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from PIL import Image

from app.domain.errors import ShareMissing
from app.domain.ids import new_id
from app.domain.renderings import Stripping
from app.imaging.stripping import strip
from tests.api.conftest import Person, Service
from tests.pictures import encoded, jpeg, picture
from tests.stripping_files import jpeg_file

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
        ({"download": "everything"}, "download"),
        ({"title": "x" * 201}, "title"),
        ({"titel": "Summer"}, "titel"),
    ],
)
async def test_wrong_fields_are_told(person: Person, fields: dict[str, Any], field: str):
    image = (await person.upload()).json()
    response = await person.post("/shares", json={"image_ids": [image["id"]], **fields})
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")
    assert [each["field"] for each in response.json()["errors"]] == [f"body.{field}"]


async def expand(both: Service, template: str, **parameters: Any) -> Any:
    url, _, names = template.partition("{")
    separator = "&" if names.startswith("&") else "?"
    query = "&".join(f"{name}={value}" for name, value in parameters.items())
    return await both.client.get(f"{url}{separator}{query}")


def token_of(share: dict[str, Any]) -> str:
    return str(share["url"].rpartition("/")[2])


async def test_the_receiver_sees_the_images_without_an_account(both: Service):
    person = await both.person()
    share = await make_share(person, title="Summer & sun")
    response = await both.client.get(f"/api/v1/shared/{token_of(share)}")
    assert response.headers["Cache-Control"] == "no-store"
    page = response.json()
    assert (page["title"], page["next_page"]) == ("Summer & sun", None)
    (image,) = page["images"]
    assert (image["id"], image["width"], image["download_url"]) == (share["image_ids"][0], 300, None)
    rendition = await expand(both, image["rendition_url"], w=64, format="webp")
    if rendition.status_code == 307:
        assert "X-Amz-Expires=60&" in rendition.headers["Location"]
        content = (await both.fetch(rendition.headers["Location"])).content
    else:
        assert rendition.headers["Cache-Control"] == "no-store"
        content = rendition.content
    assert content[8:12] == b"WEBP"
    html = await both.client.get(share["url"])
    assert html.status_code == 200
    assert "<h1>Summer &amp; sun</h1>" in html.text
    assert f"/images/{image['id']}?w=640&amp;format=auto" in html.text
    assert html.headers["X-Robots-Tag"] == "noindex, nofollow"


async def test_a_revoked_or_expired_link_shows_nothing(both: Service, monkeypatch: pytest.MonkeyPatch):
    person = await both.person()
    revoked, expiring = await make_share(person), await make_share(person, expires_at=TOMORROW)
    urls = {}
    for share in (revoked, expiring):
        (image,) = (await both.client.get(f"/api/v1/shared/{token_of(share)}")).json()["images"]
        urls[share["id"]] = image["rendition_url"]
        assert (await expand(both, image["rendition_url"], w=64)).status_code in (200, 307)
    assert (await person.request("DELETE", f"/shares/{revoked['id']}")).status_code == 204
    shares: Any = both.services.shares
    monkeypatch.setattr(shares, "_clock", lambda: datetime.now(UTC) + timedelta(days=2))
    for share in (revoked, expiring):
        for url in (f"/api/v1/shared/{token_of(share)}", share["url"]):
            assert (await both.client.get(url)).status_code == 404
        response = await expand(both, urls[share["id"]], w=64)
        assert (response.status_code, response.json()["code"]) == (404, "share_missing")


async def test_a_share_ends_with_the_account(service: Service):
    person = await service.person()
    share = await make_share(person)
    assert (await person.request("DELETE", "/auth/me")).status_code == 202
    assert (await service.client.get(share["url"])).status_code == 404


async def test_an_image_outside_the_share_is_missing(service: Service):
    person = await service.person()
    share, other = await make_share(person), (await person.upload(jpeg(40, 30))).json()
    response = await service.client.get(f"/api/v1/shared/{token_of(share)}/images/{other['id']}?w=64")
    assert (response.status_code, response.json()["code"]) == (404, "image_missing")
    assert (await person.request("DELETE", f"/images/{share['image_ids'][0]}")).status_code == 204
    assert (await service.client.get(f"/api/v1/shared/{token_of(share)}")).json()["images"] == []


async def test_a_password_opens_the_share_for_a_while(both: Service, monkeypatch: pytest.MonkeyPatch):
    person = await both.person()
    share = await make_share(person, title="Secret title", password="open sesame")
    path = f"/api/v1/shared/{token_of(share)}"
    response = await both.client.get(path)
    assert (response.status_code, response.json()["code"]) == (403, "share_password_required")
    assert (await both.client.post(path, json={"password": "open sesamo"})).status_code == 403
    page = (await both.client.post(path, json={"password": "open sesame"})).json()
    assert page["title"] == "Secret title"
    template = page["images"][0]["rendition_url"]
    assert (await expand(both, template, w=64)).status_code in (200, 307)
    assert (await both.client.get(f"{path}/images/{share['image_ids'][0]}?w=64")).status_code == 403
    # Another password ends what the previous one has opened.
    await person.request("PATCH", f"/shares/{share['id']}", json={"password": "another"})
    assert (await expand(both, template, w=64)).status_code == 403
    template = (await both.client.post(path, json={"password": "another"})).json()["images"][0]["rendition_url"]
    shares: Any = both.services.shares
    monkeypatch.setattr(shares, "_clock", lambda: datetime.now(UTC) + timedelta(minutes=16))
    assert (await expand(both, template, w=64)).status_code == 403


async def test_the_page_asks_for_the_password_and_shows_nothing_before(both: Service):
    person = await both.person()
    share = await make_share(person, title="Secret title", password="open sesame")
    for page in (await both.client.get(share["url"]), await both.client.post(share["url"], data={"password": "wrong"})):
        assert page.status_code == 403
        assert 'type="password"' in page.text
        assert "Secret" not in page.text
        assert "og:" not in page.text
        assert share["image_ids"][0] not in page.text
    page = await both.client.post(share["url"], data={"password": "open sesame"})
    assert page.status_code == 200
    assert "Secret title" in page.text
    assert "access=" in page.text


async def test_wrong_passwords_are_throttled(service: Service):
    person = await service.person()
    share = await make_share(person, password="open sesame")
    path = f"/api/v1/shared/{token_of(share)}"
    statuses = [(await service.client.post(path, json={"password": f"guess {n}"})).status_code for n in range(12)]
    assert statuses == [403] * 10 + [429] * 2
    refused = await service.client.post(path, json={"password": "open sesame"})
    assert (refused.status_code, refused.json()["code"]) == (429, "too_many_attempts")
    page = await service.client.post(share["url"], data={"password": "open sesame"})
    assert page.status_code == 429
    assert int(page.headers["Retry-After"]) > 0


async def test_downloads_only_if_the_share_allows_them(both: Service):
    person = await both.person()
    refused = await make_share(person)
    path = f"/api/v1/shared/{token_of(refused)}/images/{refused['image_ids'][0]}/download"
    assert (await both.client.get(path)).status_code == 404
    allowed = await make_share(person, download="rendition")
    (image,) = (await both.client.get(f"/api/v1/shared/{token_of(allowed)}")).json()["images"]
    response = await both.client.get(image["download_url"])
    if response.status_code == 307:
        response = await both.fetch(response.headers["Location"])
    assert response.status_code == 200
    assert 'filename="photo.jpg"' in response.headers["Content-Disposition"]
    assert response.content[:3] == b"\xff\xd8\xff"
    assert "Download" in (await both.client.get(allowed["url"])).text


async def test_renditions_of_a_share_have_at_most_2560_pixels(service: Service):
    person = await service.person()
    image = (await person.upload(encoded(picture(60, 3000), "PNG"))).json()
    share = (await person.post("/shares", json={"image_ids": [image["id"]], "download": "rendition"})).json()
    (shown,) = (await service.client.get(f"/api/v1/shared/{token_of(share)}")).json()["images"]
    for response in (
        await expand(service, shown["rendition_url"], w=4096, format="jpeg"),
        await service.client.get(shown["download_url"]),
    ):
        assert Image.open(io.BytesIO(response.content)).size == (51, 2560)


async def test_originals_are_downloaded_without_their_position(both: Service):
    person = await both.person()
    image = (await person.upload(jpeg_file())).json()
    share = (await person.post("/shares", json={"image_ids": [image["id"]], "download": "original"})).json()
    assert share["download"] == "original"
    (shown,) = (await both.client.get(f"/api/v1/shared/{token_of(share)}")).json()["images"]
    for _ in range(2):
        response = await both.client.get(shown["download_url"])
        assert response.headers["Cache-Control"] == "no-store"
        if response.status_code == 307:
            response = await both.fetch(response.headers["Location"])
        assert response.status_code == 200
        assert response.content == strip(jpeg_file(), Stripping.LOCATION)
        assert 'filename="photo.jpg"' in response.headers["Content-Disposition"]
    assert (await person.request("DELETE", f"/images/{image['id']}")).status_code == 204
    assert (await both.client.get(shown["download_url"])).status_code == 404


async def test_an_original_without_a_position_is_downloaded_as_it_is(both: Service):
    person, data = await both.person(), jpeg(300, 200)
    share = await make_share(person, download="original")
    response = await both.client.get(f"/api/v1/shared/{token_of(share)}/images/{share['image_ids'][0]}/download")
    if response.status_code == 307:
        response = await both.fetch(response.headers["Location"])
    assert response.content == data


async def test_guessed_links_are_missing(service: Service):
    person = await service.person()
    token = token_of(await make_share(person))
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    changed = {
        token[:i] + letter + token[i + 1 :] for i in range(len(token)) for letter in letters if letter != token[i]
    }
    # The last letters of the id and of the tag have unused bits, so that several letters mean the same.
    guesses = [guess for guess in changed if guess[21] == token[21] and guess[-1] == token[-1]]
    guesses += [f"{token[:22]}{secrets.token_urlsafe(16)}" for _ in range(4000)]
    guesses += [secrets.token_urlsafe(33)[: len(token)] for _ in range(4000)]
    assert len(guesses) > 10_000
    shares = service.services.shares
    for guess in [*guesses, "", "x", token[:-1], token + "A", "☃" * 44, token * 100]:
        with pytest.raises(ShareMissing):
            await shares.open(guess, access=None)
    assert (await service.client.get(f"/s/{guesses[0]}")).status_code == 404


async def test_a_share_of_many_images_has_pages(service: Service, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("app.services.shares.PAGE", 2)
    monkeypatch.setattr("app.api.share_page.PAGE", 2)
    person = await service.person()
    ids = [(await person.upload(jpeg(30 + n, 30))).json()["id"] for n in range(3)]
    share = (await person.post("/shares", json={"image_ids": ids})).json()
    path = f"/api/v1/shared/{token_of(share)}"
    first = (await service.client.get(path)).json()
    second = (await service.client.get(path, params={"page": first["next_page"]})).json()
    assert [image["id"] for image in [*first["images"], *second["images"]]] == ids
    assert second["next_page"] is None
    assert "?page=2" in (await service.client.get(share["url"])).text
    assert "Image 3 of 3" in (await service.client.get(f"{share['url']}?page=2")).text


async def test_who_shared_what_is_in_the_audit_log(service: Service):
    person = await service.person()
    share = await make_share(person)
    await person.request("PATCH", f"/shares/{share['id']}", json={"title": "Summer"})
    await person.request("DELETE", f"/shares/{share['id']}")
    user_id = person.tokens["user"]["id"]
    entries = [entry async for entry in service.services.audit.walk(owner_id=user_id) if entry.target == share["id"]]
    assert [entry.action for entry in entries] == ["share.revoked", "share.changed", "share.created"]
    assert {entry.actor for entry in entries} == {f"user:{user_id}"}


async def test_links_are_not_logged(service: Service, caplog: pytest.LogCaptureFixture):
    person = await service.person()
    share = await make_share(person)
    (image,) = (await service.client.get(f"/api/v1/shared/{token_of(share)}")).json()["images"]
    await expand(service, image["rendition_url"], w=64)
    await service.client.get(share["url"])
    logged = str([record.msg for record in caplog.records])
    assert f"'/api/v1/shared/images/{image['id']}'" in logged
    assert token_of(share) not in logged
