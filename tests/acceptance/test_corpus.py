"""Real and hostile images, forms and filenames over HTTP: each gets its verdict, and the service does not notice."""

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

pytestmark = pytest.mark.skipif(not CORPUS.exists(), reason="the corpus of test images is not beside this checkout")

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


def accepted_statuses(verdict: str) -> set[int]:
    statuses = set(map(int, re.findall(r"\b\d{3}\b", verdict)))
    return statuses | set(range(400, 500)) if "any 4xx" in verdict else statuses


def test_every_image_gets_its_verdict(service: Running, client: httpx.Client, headers: dict[str, str]):
    for data in (jpeg(2000, 1500), transparent_png()) * 4:
        upload(client, headers, data)
    before = service.memory()

    def judge(row: dict[str, str]) -> list[str]:
        response = upload(client, headers, (CORPUS / row["file"]).read_bytes())
        if response.status_code not in accepted_statuses(row["expected_http"]):
            return [f"{row['file']}: {response.status_code}, not {row['expected_http']}: {response.text[:200]}"]
        return [f"{row['file']}: {fault}" for fault in faults(client, row, response)]

    with ThreadPoolExecutor(4) as pool:
        found = [fault for faults_of_one in pool.map(judge, rows()) for fault in faults_of_one]
    assert found == []
    assert service.process.poll() is None
    assert service.memory() < before + MEMORY_MARGIN
    assert upload(client, headers, jpeg()).status_code == 201


def faults(client: httpx.Client, row: dict[str, str], response: httpx.Response) -> Iterator[str]:
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
        with Image.open(io.BytesIO(data)) as shown:
            scale = min(1, thumbnail["size"] / max(width, height))
            if any(abs(a - max(1, b * scale)) > 1 for a, b in zip(shown.size, (width, height), strict=True)):
                yield f"thumbnail {shown.size} of {width}x{height}"
            if row["alpha"] == "True" and "A" not in shown.getbands() and is_see_through(row):
                yield "transparency lost"
            if shown.info.keys() & {"exif", "xmp", "icc_profile", "comment"}:
                yield f"metadata: {sorted(shown.info)}"
        for forbidden in forbidden_bytes(row):
            if forbidden in data:
                yield f"{forbidden!r} survived"


def is_see_through(row: dict[str, str]) -> bool:
    """Whether the mean alpha tells that something in the picture can be seen through."""
    return bool(row["mean_rgba_256"]) and float(row["mean_rgba_256"].split()[3]) < 255


def forbidden_bytes(row: dict[str, str]) -> list[bytes]:
    words = [row["must_not_survive"]] if row["must_not_survive"] else []
    if "gps_private" in row["file"]:
        words += ["PrivCam", "SECRET"]
    if row["gps"] == "True":
        words += ["GPS", "exif:"]
    return [word.encode() for word in words if word.isprintable()]


def test_every_multipart_body_is_answered(service: Running, client: httpx.Client, headers: dict[str, str]):
    bodies = sorted((CORPUS / "multipart").glob("*.http"))
    assert bodies
    for path in bodies:
        told = path.with_suffix(".yaml").read_text()
        boundary = re.search(r"boundary: (.+)", told)
        assert boundary
        content_type = f"multipart/form-data; boundary={boundary[1].strip()}"
        response = client.post(
            "/api/v1/images/upload", content=path.read_bytes(), headers={**headers, "Content-Type": content_type}
        )
        # None holds an image: a well-formed one is refused for that, a malformed one for its form.
        expected = {400} if re.search(r"^\s+error:", told, re.MULTILINE) else {400, 415, 422}
        assert response.status_code in expected, (path.name, response.text)
    assert service.process.poll() is None


def test_every_filename_is_kept_as_data(service: Running, client: httpx.Client, headers: dict[str, str]):
    names = json.loads((CORPUS / "filenames.json").read_text())
    assert names
    for name in names:
        # As a browser writes it (WHATWG HTML, multipart form data): percent-encoded quotes and line breaks.
        shown = name.replace('"', "%22").replace("\r", "%0D").replace("\n", "%0A")
        form = (
            b'--x\r\nContent-Disposition: form-data; name="file"; filename="'
            + shown.encode()
            + b'"\r\n\r\n'
            + jpeg(16, 16)
            + b"\r\n--x--\r\n"
        )
        content_type = {"Content-Type": "multipart/form-data; boundary=x"}
        response = client.post("/api/v1/images/upload", content=form, headers={**headers, **content_type})
        if response.status_code != 201:  # a NUL may not stand in a header
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
