"""Acceptance tests with real and malicious images, multipart bodies and filenames, sent over HTTP."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from PIL import Image

from tests.acceptance.conftest import CORPUS, Running, upload
from tests.pictures import jpeg, transparent_png

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="requires the corpus of test images in ../shared/corpus")

MEMORY_MARGIN = 64 * 1024 * 1024


@pytest.fixture
def client(service: Running) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=service.url, timeout=60) as opened:
        yield opened


@pytest.fixture
def headers(service: Running) -> dict[str, str]:
    return service.register()


def rows() -> list[dict[str, str]]:
    with (CORPUS / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def expected_statuses(row: dict[str, str]) -> set[int]:
    statuses = set(map(int, re.findall(r"\b\d{3}\b", row["expected_http"])))
    return statuses | set(range(400, 500)) if "any 4xx" in row["expected_http"] else statuses


def test_every_image_gets_the_expected_response(service: Running, client: httpx.Client, headers: dict[str, str]):
    for data in (jpeg(2000, 1500), transparent_png()) * 4:
        upload(client, headers, data)
    before = service.memory()

    def upload_and_check(row: dict[str, str]) -> list[str]:
        response = upload(client, headers, (CORPUS / row["file"]).read_bytes())
        if response.status_code not in expected_statuses(row):
            return [f"{row['file']}: {response.status_code}, not {row['expected_http']}: {response.text[:200]}"]
        return [f"{row['file']}: {failure}" for failure in failures_of(client, row, response)]

    with ThreadPoolExecutor(4) as pool:
        failures = [failure for of_one_row in pool.map(upload_and_check, rows()) for failure in of_one_row]
    assert failures == []
    assert service.process.poll() is None
    assert service.memory() < before + MEMORY_MARGIN
    assert upload(client, headers, jpeg()).status_code == 201


def failures_of(client: httpx.Client, row: dict[str, str], response: httpx.Response) -> Iterator[str]:
    if response.status_code != 201:
        assert response.headers["content-type"] == "application/problem+json"
        return
    view = response.json()
    if not row["file"].startswith("good/"):
        return
    width, height = int(row["upright_width"]), int(row["upright_height"])
    if (view["width"], view["height"]) != (width, height):
        yield f"{view['width']}x{view['height']}, not {width}x{height}"
    for thumbnail in view["thumbnails"]:
        data = client.get(thumbnail["url"]).content
        with Image.open(io.BytesIO(data)) as image:
            scale = min(1, thumbnail["size"] / max(width, height))
            if any(abs(a - max(1, b * scale)) > 1 for a, b in zip(image.size, (width, height), strict=True)):
                yield f"the thumbnail is {image.size} for {width}x{height}"
            if row["alpha"] == "True" and "A" not in image.getbands() and has_transparency(row):
                yield "the thumbnail has no transparency"
            if image.info.keys() & {"exif", "xmp", "icc_profile", "comment"}:
                yield f"the thumbnail has metadata: {sorted(image.info)}"
        for forbidden in forbidden_bytes(row):
            if forbidden in data:
                yield f"the thumbnail contains {forbidden!r}"


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


def test_every_multipart_body_gets_the_expected_status(service: Running, client: httpx.Client, headers: dict[str, str]):
    bodies = sorted((CORPUS / "multipart").glob("*.http"))
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
    assert service.process.poll() is None


def test_every_filename_is_treated_as_data(service: Running, client: httpx.Client, headers: dict[str, str]):
    names = json.loads((CORPUS / "filenames.json").read_text())
    assert names
    for name in names:
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
    assert service.process.poll() is None
