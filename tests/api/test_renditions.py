"""Renditions: images in other sizes and formats, rendered when they are first requested."""

from __future__ import annotations

import asyncio
import io
import os
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from PIL import Image

from app.domain.ids import new_id
from tests.api.conftest import Person, Service, aws_settings, embedded_settings, running
from tests.aws_emulators import AwsEmulator
from tests.pictures import encoded, jpeg, picture

pytestmark = pytest.mark.asyncio(loop_scope="session")

BROWSER = {"Accept": "image/avif,image/webp,image/apng,*/*;q=0.8"}


async def uploaded(person: Person, data: bytes | None = None) -> dict[str, Any]:
    response = await person.upload(data)
    assert response.status_code == 201, response.text
    image: dict[str, Any] = response.json()
    return image


def url_of(image: dict[str, Any], **parameters: object) -> str:
    template: str = image["rendition_url"]
    assert template.endswith("{?w,h,fit,format}")
    return f"{template.partition('{')[0]}?{urlencode(parameters)}"


async def fetched(service: Service, image: dict[str, Any], **parameters: object) -> httpx.Response:
    """Return the response with the rendition, after the redirect to the object store, if there is one."""
    response = await service.client.get(url_of(image, **parameters), headers=BROWSER)
    if response.status_code == 307:
        return await service.fetch(response.headers["Location"])
    return response


async def size_of(service: Service, image: dict[str, Any], **parameters: object) -> tuple[int, int]:
    response = await fetched(service, image, **parameters)
    assert response.status_code == 200, response.text
    return decoded(response).size


def decoded(response: httpx.Response) -> Image.Image:
    opened = Image.open(io.BytesIO(response.content))
    opened.load()
    return opened


async def renderings(service: Service) -> float:
    metrics = (await service.client.get("/metrics")).text
    lines = [line for line in metrics.splitlines() if line.startswith('render_seconds_count{outcome="rendered"}')]
    return float(lines[0].rpartition(" ")[2]) if lines else 0


async def test_a_rendition_has_the_requested_size_and_format(both: Service) -> None:
    image = await uploaded(await both.person(), jpeg(900, 600))
    response = await fetched(both, image, w=300)
    assert response.headers["Content-Type"] == "image/avif"
    rendition = decoded(response)
    assert (rendition.format, rendition.size) == ("AVIF", (320, 213))
    for name in ("webp", "jpeg"):
        response = await fetched(both, image, w=320, format=name)
        assert (response.headers["Content-Type"], decoded(response).format) == (f"image/{name}", name.upper())


async def test_a_rendition_is_rendered_once(both: Service) -> None:
    image = await uploaded(await both.person())
    before = await renderings(both)
    first, second = await fetched(both, image, w=320), await fetched(both, image, w=310)
    assert first.content == second.content
    assert await renderings(both) == before + 1


async def test_parallel_first_requests_render_once(both: Service) -> None:
    image = await uploaded(await both.person())
    before = await renderings(both)
    responses = await asyncio.gather(*(both.client.get(url_of(image, w=480), headers=BROWSER) for _ in range(100)))
    assert {response.status_code for response in responses} <= {200, 307}
    assert await renderings(both) == before + 1


async def test_the_width_is_rounded_up_and_the_height_follows(service: Service) -> None:
    image = await uploaded(await service.person(), jpeg(900, 600))
    assert await size_of(service, image, w=161) == (240, 160)
    assert await size_of(service, image, h=200) == (320, 213)
    assert await size_of(service, image, w=200, h=100) == (180, 120)


async def test_cover_crops_around_the_focal_point(service: Service) -> None:
    person = await service.person()
    picture = Image.new("RGB", (600, 200), "red")
    picture.paste("blue", (400, 0, 600, 200))
    image = await uploaded(person, encoded(picture, "PNG"))
    centered = decoded(await fetched(service, image, w=160, h=160, fit="cover", format="jpeg"))
    assert (centered.size, nearest(centered)) == ((160, 160), "red")

    edited = await person.request("PATCH", f"/images/{image['id']}", json={"focal_point": {"x": 95, "y": 50}})
    assert edited.json()["focal_point"] == {"x": 95, "y": 50}
    # A new URL, so that no cache shows the old crop.
    assert edited.json()["rendition_url"] != image["rendition_url"]
    cropped = decoded(await fetched(service, edited.json(), w=160, h=160, fit="cover", format="jpeg"))
    assert (cropped.size, nearest(cropped)) == ((160, 160), "blue")
    assert nearest(decoded(await fetched(service, image, w=160, h=160, fit="cover", format="jpeg"))) == "red"

    reset = await person.request("PATCH", f"/images/{image['id']}", json={"focal_point": None})
    assert reset.json()["focal_point"] is None


def nearest(image: Image.Image) -> str:
    red, _, blue = image.convert("RGB").resize((1, 1), Image.Resampling.BOX).getpixel((0, 0))  # type: ignore[misc]
    return "red" if red > blue else "blue"


@pytest.mark.parametrize("fit", ["contain", "cover"])
async def test_an_image_is_never_enlarged(service: Service, fit: str) -> None:
    image = await uploaded(await service.person(), jpeg(90, 60))
    assert await size_of(service, image, w=2560, fit=fit) == (90, 60)
    assert await size_of(service, image, w=2560, h=2560, fit=fit) == ((90, 60) if fit == "contain" else (60, 60))


async def test_the_accept_header_decides_about_the_format(service: Service) -> None:
    image = await uploaded(await service.person())
    for accept, expected in (
        ("image/avif,image/webp,*/*", "image/avif"),
        ("image/avif;q=0, image/WebP;q=0.5, */*", "image/webp"),
        ("*/*", "image/jpeg"),
    ):
        response = await service.client.get(url_of(image, w=96), headers={"Accept": accept})
        assert response.headers["Content-Type"] == expected
        assert "Accept" in response.headers["Vary"].split(", ")
    named = await service.client.get(url_of(image, w=96, format="webp"))
    assert named.headers["Content-Type"] == "image/webp"
    assert "Accept" not in named.headers.get("Vary", "").split(", ")


async def test_a_rendition_may_be_cached_until_its_url_expires(service: Service) -> None:
    image = await uploaded(await service.person())
    response = await service.client.get(url_of(image, w=96))
    visibility, age, immutable = response.headers["Cache-Control"].split(", ")
    assert (visibility, immutable) == ("private", "immutable")
    ttl, window = service.settings.presigned_url_ttl, service.settings.presigned_url_window
    assert ttl - 60 <= int(age.removeprefix("max-age=")) <= ttl + window
    again = await service.client.get(url_of(image, w=96), headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.content) == (304, b"")


async def test_the_template_is_the_same_within_a_window(service: Service) -> None:
    person = await service.person()
    image = await uploaded(person)
    listed = (await person.get("/images")).json()["items"][0]
    assert listed["rendition_url"] == image["rendition_url"]


async def test_urls_of_other_images_and_of_other_signers_are_refused(service: Service) -> None:
    person = await service.person()
    image, other = await uploaded(person), await uploaded(person)
    folder, token = image["rendition_url"].partition("{")[0].rsplit("/", 1)
    for url in (
        f"{folder.replace(image['id'], other['id'])}/{token}",
        f"{folder}/9{token}",
        f"{folder}/{token}x",
        f"{folder}/token",
    ):
        response = await service.client.get(f"{url}?w=96")
        assert (response.status_code, response.json()["code"]) == (403, "url_invalid")


async def test_an_expired_url_is_refused(tmp_path: Path) -> None:
    async with running(embedded_settings(tmp_path, presigned_url_window=1)) as service:
        image = await uploaded(await service.person())
        urls = service.services.renditions.urls
        clock, urls._clock = urls._clock, lambda: clock() + timedelta(hours=2)
        response = await service.client.get(url_of(image, w=96))
    assert (response.status_code, response.json()["code"]) == (403, "url_expired")


@pytest.mark.parametrize("query", ["", "w=0", "w=x", "w=96&fit=fill", "w=96&format=png", "w=96&width=5"])
async def test_wrong_parameters_are_refused(service: Service, query: str) -> None:
    image = await uploaded(await service.person())
    response = await service.client.get(f"{image['rendition_url'].partition('{')[0]}?{query}")
    assert (response.status_code, response.json()["code"]) == (422, "request_invalid")


async def test_renditions_are_deleted_with_the_image(both: Service) -> None:
    person = await both.person()
    image = await uploaded(person, encoded(picture(2100, 50), "PNG"))
    url = url_of(image, w=96)
    assert (await fetched(both, image, w=96)).status_code == 200
    store = both.container.adapters.storage.store
    keys = [stored.key async for stored in store.walk("images/") if f"/{image['id']}/" in stored.key]
    assert {"preview", "rendition-96.avif"} <= {key.rpartition("/")[2] for key in keys}
    assert (await person.request("DELETE", f"/images/{image['id']}")).status_code == 204
    assert [stored.key async for stored in store.walk("images/") if f"/{image['id']}/" in stored.key] == []
    assert (await both.client.get(url)).status_code == 404


async def test_a_rendition_of_an_image_that_is_deleted_meanwhile_is_not_kept(service: Service) -> None:
    person = await service.person()
    image = await uploaded(person)
    renditions, store = service.services.renditions, service.container.adapters.storage.store
    renderer = renditions._renderer

    class DeletingRenderer:
        async def render(self, *args: Any, **kwargs: Any) -> Any:
            rendering = await renderer.render(*args, **kwargs)
            await person.request("DELETE", f"/images/{image['id']}")
            return rendering

    renditions._renderer = DeletingRenderer()
    try:
        response = await service.client.get(url_of(image, w=96))
    finally:
        renditions._renderer = renderer
    assert (response.status_code, response.json()["code"]) == (404, "image_missing")
    assert [stored.key async for stored in store.walk("images/") if f"/{image['id']}/" in stored.key] == []


async def test_the_original_of_a_large_image_is_decoded_once(service: Service) -> None:
    image = await uploaded(await service.person(), encoded(picture(2100, 50), "PNG"))
    store = service.container.adapters.storage.store
    before = await renderings(service)
    sizes = [await size_of(service, image, w=width, format="webp") for width in (640, 320, 64)]
    assert [width for width, _ in sizes] == [640, 320, 64]
    assert await renderings(service) == before + 4  # the preview, and each rendition from it
    original = next([s.key async for s in store.walk("images/") if f"/{image['id']}/original" in s.key].__iter__())
    await store.delete([original])
    assert (await size_of(service, image, w=480, format="webp"))[0] == 480


async def test_a_rendition_that_is_larger_than_the_preview_has_all_pixels_of_the_original(service: Service) -> None:
    image = await uploaded(await service.person(), encoded(picture(4032, 60), "PNG"))
    before = await renderings(service)
    assert await size_of(service, image, w=4032, format="webp") == (4032, 60)
    assert await renderings(service) == before + 1


async def test_the_least_recently_used_renditions_are_evicted(tmp_path: Path) -> None:
    sizes = tuple(range(16, 48))
    async with running(embedded_settings(tmp_path, rendition_sizes=sizes)) as service:
        image = await uploaded(await service.person(), jpeg(90, 60))
        requests = [{"w": w, "format": name} for w in sizes for name in ("webp", "jpeg")]
        for number, parameters in enumerate(requests):
            assert (await fetched(service, image, **parameters)).status_code == 200
            newest = max((tmp_path / "objects").glob("images/*/*/rendition-*"), key=lambda path: path.stat().st_mtime)
            os.utime(newest, (number + 1, number + 1))
        for parameters in requests[:2]:
            await fetched(service, image, **parameters)  # sets its time
        await fetched(service, image, w=47, format="avif")
        names = {path.name for path in (tmp_path / "objects").glob("images/*/*/rendition-*")}
        assert len(names) == 64
        assert {"rendition-16.webp", "rendition-16.jpg", "rendition-17.jpg"} <= names
        assert "rendition-17.webp" not in names


async def test_a_full_queue_gets_a_503(service: Service) -> None:
    image = await uploaded(await service.person())
    turns: Any = service.services.renditions._turns
    turns._free, turns._queue_limit, before = 0, 0, (turns._free, turns._queue_limit)
    try:
        response = await service.client.get(url_of(image, w=128))
    finally:
        turns._free, turns._queue_limit = before
    assert (response.status_code, response.json()["code"]) == (503, "overloaded")
    assert int(response.headers["Retry-After"]) > 0


async def test_a_request_waits_for_another_process(service: Service) -> None:
    image = await uploaded(await service.person())
    before = await renderings(service)
    renditions = service.services.renditions
    key = await claims_key(service, image)
    async with renditions._leases.held(key.split("/")[1], f"render {key}", seconds=60):
        request = asyncio.create_task(service.client.get(url_of(image, w=160, format="webp")))
        data = encoded(picture(160, 100), "WEBP")
        await service.container.adapters.storage.store.put(key, data, content_type="image/webp")
        response = await request
    assert (response.status_code, response.content) == (200, data)
    assert await renderings(service) == before


async def claims_key(service: Service, image: dict[str, Any]) -> str:
    token = image["rendition_url"].partition("{")[0].rpartition("/")[2]
    owner_id = service.services.renditions.urls.verify(image["id"], token).owner_id
    return f"images/{owner_id}/{image['id']}/rendition-160.webp"


async def test_an_unknown_image_is_missing(service: Service) -> None:
    image = await uploaded(await service.person())
    response = await service.client.get(url_of(image, w=96).replace(image["id"], new_id()))
    assert response.status_code == 403


async def test_two_processes_render_once(service_on_aws: Service, tmp_path: Path, aws: AwsEmulator) -> None:
    async with running(aws_settings(tmp_path, aws)) as other:
        # The same secret, so that both accept the token.
        other.services.renditions.urls._key = service_on_aws.services.renditions.urls._key
        image = await uploaded(await service_on_aws.person())
        before = await renderings(service_on_aws) + await renderings(other)
        requests = [process.client.get(url_of(image, w=320)) for process in (service_on_aws, other) for _ in range(5)]
        assert {response.status_code for response in await asyncio.gather(*requests)} == {307}
        assert await renderings(service_on_aws) + await renderings(other) == before + 1


@pytest.mark.slow
async def test_a_client_that_requests_every_size_stores_a_bounded_number(tmp_path: Path) -> None:
    sizes = tuple(range(16, 40))
    async with running(embedded_settings(tmp_path, rendition_sizes=sizes)) as service:
        person = await service.person()
        for _ in range(10):
            image = await uploaded(person, jpeg(60, 40))
            for name in ("avif", "webp", "jpeg"):
                responses = await asyncio.gather(*(fetched(service, image, w=w, format=name) for w in sizes))
                assert {response.status_code for response in responses} == {200}
        folders = [folder for folder in (tmp_path / "objects" / "images").glob("*/*") if folder.is_dir()]
        assert [len(list(folder.glob("rendition-*"))) for folder in folders] == [64] * 10


async def test_the_log_does_not_contain_the_token(service: Service, caplog: pytest.LogCaptureFixture) -> None:
    image = await uploaded(await service.person())
    token = image["rendition_url"].partition("{")[0].rpartition("/")[2]
    with caplog.at_level("INFO"):
        assert (await service.client.head(url_of(image, w=96))).status_code == 200
    assert f"/api/v1/renditions/{image['id']}" in caplog.text
    assert token not in caplog.text
