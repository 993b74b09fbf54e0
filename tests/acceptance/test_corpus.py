"""Acceptance tests with valid and malicious images, multipart bodies and filenames, sent over HTTP.

The images and filenames are those of `tests.corpus`, and in addition those of the folder ../shared/corpus if it exists.
"""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial

import httpx
import pytest
from PIL import Image

from tests.acceptance.conftest import ROOT, Deployment, Running, upload
from tests.corpus import cases
from tests.corpus.case import Case, Color
from tests.corpus.filenames import FILENAMES
from tests.pictures import jpeg, transparent_png

FOLDER = ROOT.parent / "shared" / "corpus"
IN_FOLDER = [pytest.mark.slow, pytest.mark.skipif(not FOLDER.exists(), reason="requires the folder ../shared/corpus")]

MEMORY_MARGIN = 64 * 1024 * 1024
COLOR_TOLERANCE = 60


@pytest.fixture
def client(service: Deployment) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=300) as opened:
        yield opened


@pytest.fixture
def headers(service: Deployment) -> dict[str, str]:
    return service.register()


def cases_in_folder() -> Iterator[Case]:
    with (FOLDER / "manifest.csv").open(newline="") as file:
        for row in csv.DictReader(file):
            make = (FOLDER / row["file"]).read_bytes
            if not row["file"].startswith("good/"):
                yield Case(row["file"], make, expected_statuses(row))
                continue
            size = int(row["upright_width"]), int(row["upright_height"])
            is_transparent = row["alpha"] == "True" and has_transparency(row)
            yield Case(
                row["file"], make, size=size, is_transparent=is_transparent, forbidden=tuple(forbidden_bytes(row))
            )


def expected_statuses(row: dict[str, str]) -> frozenset[int]:
    statuses = frozenset(map(int, re.findall(r"\b\d{3}\b", row["expected_http"])))
    return statuses | frozenset(range(400, 500)) if "any 4xx" in row["expected_http"] else statuses


def has_transparency(row: dict[str, str]) -> bool:
    """Return whether the mean alpha in the manifest is below 255, that is, whether any pixel is transparent."""
    return bool(row["mean_rgba_256"]) and float(row["mean_rgba_256"].split()[3]) < 255


def forbidden_bytes(row: dict[str, str]) -> list[bytes]:
    words = [row["must_not_survive"]] if row["must_not_survive"] else []
    if "gps_private" in row["file"]:
        words += ["PrivCam", "SECRET"]
    if row["gps"] == "True":
        words += ["GPS", "exif:"]
    return [word.encode() for word in words if word.isprintable()]


@pytest.mark.parametrize("corpus", [cases, pytest.param(cases_in_folder, marks=IN_FOLDER)])
def test_every_image_gets_the_expected_response(
    service: Running, client: httpx.Client, headers: dict[str, str], corpus: Callable[[], Iterable[Case]]
):
    for data in (jpeg(2000, 1500), transparent_png()) * 4:
        upload(client, headers, data)
    before = service.memory()
    with ThreadPoolExecutor(4) as pool:
        found = pool.map(partial(failures_of, client, headers), corpus())
        failures = [failure for of_one_case in found for failure in of_one_case]
    assert failures == []
    assert service.process.poll() is None
    assert service.memory() < before + MEMORY_MARGIN
    assert upload(client, headers, jpeg()).status_code == 201


def failures_of(client: httpx.Client, headers: dict[str, str], case: Case) -> list[str]:
    return failures_of_response(client, upload(client, headers, case.make()), case)


def failures_of_response(client: httpx.Client, response: httpx.Response, case: Case) -> list[str]:
    # The response to a direct upload is 200.
    status = 201 if response.status_code == 200 else response.status_code
    if status not in case.statuses:
        return [f"{case.name}: {status}, not {sorted(case.statuses)}: {response.text[:200]}"]
    if status == 201:
        return [f"{case.name}: {failure}" for failure in failures_of_thumbnails(client, response, case)]
    assert response.headers["content-type"] == "application/problem+json"
    code = response.json()["code"]
    return [f"{case.name}: {code}, not {case.code}"] if case.code not in (None, code) else []


def failures_of_thumbnails(client: httpx.Client, response: httpx.Response, case: Case) -> Iterator[str]:
    view = response.json()
    if not case.size:
        return
    if (view["width"], view["height"]) != case.size:
        yield f"{view['width']}x{view['height']}, not {case.size}"
    for thumbnail in view["thumbnails"]:
        data = client.get(thumbnail["url"]).content
        with Image.open(io.BytesIO(data)) as image:
            scale = min(1, thumbnail["size"] / max(case.size))
            if any(abs(a - max(1, b * scale)) > 1 for a, b in zip(image.size, case.size, strict=True)):
                yield f"the thumbnail is {image.size} for {case.size}"
            if case.is_transparent and "A" not in image.getbands():
                yield "the thumbnail has no transparency"
            if image.info.keys() & {"exif", "xmp", "icc_profile", "comment"}:
                yield f"the thumbnail has metadata: {sorted(image.info)}"
            if case.quadrants and not shows(image.convert("RGB"), case.quadrants):
                yield f"the thumbnail does not show {case.quadrants}"
        for forbidden in case.forbidden:
            if forbidden in data:
                yield f"the thumbnail contains {forbidden!r}"


def shows(image: Image.Image, quadrants: tuple[Color, ...]) -> bool:
    width, height = image.size
    pixels = [image.getpixel((x, y)) for y in (height // 4, height * 3 // 4) for x in (width // 4, width * 3 // 4)]
    return all(
        isinstance(pixel, tuple) and all(abs(a - b) <= COLOR_TOLERANCE for a, b in zip(pixel, color, strict=True))
        for pixel, color in zip(pixels, quadrants, strict=True)
    )


@pytest.mark.slow
@pytest.mark.skipif(not FOLDER.exists(), reason="requires the folder ../shared/corpus")
def test_every_multipart_body_gets_the_expected_status(
    service: Deployment, client: httpx.Client, headers: dict[str, str]
):
    bodies = sorted((FOLDER / "multipart").glob("*.http"))
    assert bodies
    for path in bodies:
        specification = path.with_suffix(".yaml").read_text()
        boundary = re.search(r"boundary: (.+)", specification)
        assert boundary
        content_type = f"multipart/form-data; boundary={boundary[1].strip()}"
        response = client.post(
            "/api/v1/images/upload", content=path.read_bytes(), headers={**headers, "Content-Type": content_type}
        )
        # No body contains an image, so a well-formed body is rejected too, for its content.
        expected = {400} if re.search(r"^\s+error:", specification, re.MULTILINE) else {400, 415, 422}
        assert response.status_code in expected, (path.name, response.text)
    assert service.is_ready()


def test_every_filename_is_treated_as_data(service: Deployment, client: httpx.Client, headers: dict[str, str]):
    more = json.loads((FOLDER / "filenames.json").read_text()) if FOLDER.exists() else []
    for name in [*FILENAMES, *more]:
        # Browsers percent-encode quotes and line breaks (WHATWG HTML, multipart form data).
        encoded = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        body = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="'
            + encoded.encode()
            + b'"\r\n\r\n'
            + jpeg(16, 16)
            + b"\r\n--x--\r\n"
        )
        content_type = {"Content-Type": "multipart/form-data; boundary=x"}
        response = client.post("/api/v1/images/upload", content=body, headers={**headers, **content_type})
        if response.status_code != 201:  # A NUL is not allowed in a header.
            assert (response.status_code, "\x00" in name) == (400, True), (name, response.text)
            continue
        view = response.json()
        assert 1 <= len(view["filename"]) <= 255
        assert not re.search(r"[\x00-\x1f\x7f/\\\u202a-\u202e\u2066-\u2069]", view["filename"])
        assert str(view["id"]) in view["original_url"]
        assert "passwd" not in view["original_url"]
        location = client.get(f"/api/v1/images/{view['id']}/file", headers=headers).headers["location"]
        downloaded = httpx.get(location)
        assert downloaded.status_code == 200
        assert downloaded.headers["content-disposition"].startswith("attachment;")
        assert not {"x-evil", "set-cookie"} & set(downloaded.headers)
    assert service.is_ready()
