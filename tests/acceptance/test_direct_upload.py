"""A large file that is uploaded directly to the store, as a browser does, without using memory of the service."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Running, upload
from tests.pictures import jpeg

SIZE = 40 * 1000 * 1000
MARGIN = 32 * 1024 * 1024


def peak(running: Running) -> int:
    """Return the peak of the resident bytes of the service's process since the peak was last reset."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells and forgets a process's peak")
def test_direct_upload_of_forty_megabytes_uses_no_memory_of_the_service(service: Running, tmp_path: Path):
    picture = jpeg(3000, 2000)
    photo = tmp_path / "photo.jpg"
    photo.write_bytes(picture + hashlib.shake_256(b"noise").digest(SIZE - len(picture)))
    digest = hashlib.sha256(photo.read_bytes()).hexdigest()
    headers = service.register()
    with httpx.Client(base_url=service.url, timeout=300) as client:
        assert upload(client, headers, picture).status_code == 201
        Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")
        idle = peak(service)
        announced = {"filename": "big.jpg", "content_type": "image/jpeg", "size": SIZE, "sha256": digest}
        opened = client.post("/api/v1/images/uploads", json=announced, headers=headers).json()
        with photo.open("rb") as file:
            sent = httpx.post(opened["url"], data=opened["fields"], files={"file": ("big.jpg", file)}, timeout=300)
        assert sent.status_code == 204, sent.text
        view = client.post(f"/api/v1/images/uploads/{opened['upload_id']}/complete", headers=headers).json()
        assert (view["size"], view["sha256"]) == (SIZE, digest)
        assert (view["width"], view["height"]) == (3000, 2000)
        assert peak(service) < idle + MARGIN
        fetched = hashlib.sha256()
        with httpx.stream("GET", view["original_url"]) as response:
            for chunk in response.iter_bytes():
                fetched.update(chunk)
        assert fetched.hexdigest() == digest
