"""curl sends a file as the body of an upload."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.acceptance.conftest import environment_for, started
from tests.pictures import jpeg


def test_curl_sends_a_file(tmp_path: Path):
    photo = tmp_path / "beach.jpg"
    photo.write_bytes(jpeg())
    with started(environment_for(tmp_path / "data")) as running:
        token = running.register()["Authorization"]
        address = f"{running.url}/api/v1/images/upload?filename=beach.jpg"
        for extra in ([], ["-H", "Transfer-Encoding: chunked"]):
            command = [
                "curl",
                "-sS",
                "--fail-with-body",
                "-H",
                f"Authorization: {token}",
                "-H",
                "Content-Type: image/jpeg",
            ]
            done = subprocess.run(
                [*command, *extra, "--data-binary", f"@{photo}", address], capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, done.stdout
            assert '"filename":"beach.jpg"' in done.stdout
