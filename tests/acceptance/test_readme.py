"""Runs the commands of the README as they are written there."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
import subprocess
from pathlib import Path

import httpx
from PIL import Image

from tests.acceptance.conftest import ROOT, Running, environment_for, started
from tests.acceptance.worker_process import worker
from tests.pictures import jpeg

README = (ROOT / "README.md").read_text()
FIRST_UPLOAD, IN_THE_BACKGROUND = re.findall(r"```bash\n(.*?)```", README, re.DOTALL)


def run_commands(service: Running, folder: Path, *blocks: str) -> str:
    done = subprocess.run(
        ["/bin/bash", "-euo", "pipefail", "-c", "".join(blocks).replace("http://localhost:8000", service.url)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_first_upload_works_as_the_readme_shows(service: Running, tmp_path: Path):
    photo = jpeg(4032, 3024, quality=92)
    (tmp_path / "photo.jpg").write_bytes(photo)
    output = run_commands(service, tmp_path, FIRST_UPLOAD)
    image = json.loads((tmp_path / "image.json").read_text())
    assert (image["width"], image["height"], image["description"]) == (4032, 3024, "At the sea")
    assert image["id"] in output.partition("next_cursor")[0]
    assert (tmp_path / "original.jpg").read_bytes() == photo
    assert (tmp_path / "download.jpg").read_bytes() == photo
    with Image.open(tmp_path / "thumbnail.jpg") as thumbnail:
        assert thumbnail.size == (200, 150)
    assert hashlib.sha256(photo).hexdigest() == image["sha256"]
    assert httpx.get(image["original_url"]).status_code == 404  # the last command deletes it


def test_background_jobs_work_as_the_readme_shows(service: Running, tmp_path: Path):
    (tmp_path / "photo.jpg").write_bytes(jpeg())
    with contextlib.ExitStack() as stack:
        if service.environment.get("BACKEND") == "aws":
            stack.enter_context(worker(service.environment, name="readme-worker"))
        output = run_commands(service, tmp_path, FIRST_UPLOAD.replace("ada@", "bob@"), IN_THE_BACKGROUND)
    last_event_and_jobs = output.rpartition("event: image")[2]
    assert '"status":"ready"' in last_event_and_jobs
    jobs = json.loads(last_event_and_jobs[last_event_and_jobs.rindex('{"items"') :])["items"]
    assert [job["kind"] for job in jobs] == ["export", "fetch", "render"]


def test_the_command_line_serves_without_make(tmp_path: Path):
    assert "`.venv/bin/python -m app serve`" in README
    with started(environment_for(tmp_path / "data"), command=("-m", "app", "serve")) as running:
        assert httpx.get(f"{running.url}/").status_code == 200


def test_ci_runs_the_checks_that_contributors_run():
    makefile = (ROOT / "Makefile").read_text()
    assert {"make run", "make test"} <= set(re.findall(r"^make [a-z]+", README, re.MULTILINE))
    assert re.search(r"^check: lint test test-acceptance$", makefile, re.MULTILINE)
    assert re.search(r"^make check$", (ROOT / ".ci/run").read_text(), re.MULTILINE)
