"""The README's own lines, run as they stand there."""

from __future__ import annotations

import hashlib
import json
import re
import subprocess
from pathlib import Path

import httpx
from PIL import Image

from tests.acceptance.conftest import ROOT, Running
from tests.pictures import jpeg


def test_the_first_upload_works_as_the_readme_says(service: Running, tmp_path: Path):
    lines = re.findall(r"```bash\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert len(lines) == 1
    script = lines[0].replace("http://localhost:8000", service.url)
    photo = jpeg(4032, 3024, quality=92)
    (tmp_path / "photo.jpg").write_bytes(photo)
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", script],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    view = json.loads((tmp_path / "image.json").read_text())
    assert (view["width"], view["height"], view["description"]) == (4032, 3024, "At the sea")
    assert view["id"] in done.stdout.split("next_cursor")[0]
    assert (tmp_path / "original.jpg").read_bytes() == photo
    assert (tmp_path / "download.jpg").read_bytes() == photo
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert thumbnail.size == (200, 150)
    assert hashlib.sha256((tmp_path / "photo.jpg").read_bytes()).hexdigest() == view["sha256"]
    assert httpx.get(view["original_url"]).status_code == 404
