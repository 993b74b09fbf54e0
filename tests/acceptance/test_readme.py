"""The README's own lines, run as they stand there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from pathlib import Path

import httpx
from PIL import Image

from tests.acceptance.background import worker
from tests.acceptance.conftest import ROOT, Running
from tests.pictures import jpeg

LINES = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run_lines(service: Running, folder: Path, *blocks: str) -> str:
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", "".join(blocks).replace("http://localhost:8000", service.url)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_upload_works_as_the_readme_says(service: Running, tmp_path: Path):
    photo = jpeg(4032, 3024, quality=92)
    (tmp_path / "photo.jpg").write_bytes(photo)
    said = run_lines(service, tmp_path, LINES[0])
    view = json.loads((tmp_path / "image.json").read_text())
    assert (view["width"], view["height"], view["description"]) == (4032, 3024, "At the sea")
    assert view["id"] in said.split("next_cursor")[0]
    assert (tmp_path / "original.jpg").read_bytes() == photo
    assert (tmp_path / "download.jpg").read_bytes() == photo
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert thumbnail.size == (200, 150)
    assert hashlib.sha256((tmp_path / "photo.jpg").read_bytes()).hexdigest() == view["sha256"]
    assert httpx.get(view["original_url"]).status_code == 404


def test_the_background_works_as_the_readme_says(service: Running, tmp_path: Path):
    assert len(LINES) == 2
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    with contextlib.ExitStack() as stack:
        if service.environment.get("BACKEND") == "aws":
            stack.enter_context(worker(service.environment, name="readme-worker"))
        said = run_lines(service, tmp_path, LINES[0].replace("ada@", "bob@"), LINES[1])
    rest = said.rpartition("event: image")[2]
    assert '"status":"ready"' in rest
    jobs = json.loads(rest[rest.rindex('{"items"') :])["items"]
    assert [job["kind"] for job in jobs] == ["export", "fetch", "render"]
