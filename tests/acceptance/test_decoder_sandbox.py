"""The start of the service on a kernel that does not support the whole sandbox."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import ROOT, environment_for, started, upload
from tests.pictures import jpeg

WITHOUT_LANDLOCK = ("-m", "tests.acceptance.without_landlock")
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="Landlock and seccomp are features of Linux")


def incomplete_events(log: str) -> list[list[str]]:
    events = [json.loads(line) for line in log.splitlines() if line.startswith("{")]
    return [event["missing"] for event in events if event.get("event") == "decoder_sandbox.incomplete"]


def test_missing_landlock_is_logged_once_and_images_are_accepted(tmp_path: Path):
    with started(environment_for(tmp_path / "data"), command=WITHOUT_LANDLOCK) as running:
        with httpx.Client(base_url=running.url, timeout=100) as client:
            assert upload(client, running.register(), jpeg()).status_code == 201
        assert incomplete_events(running.log.read_text()) == [["landlock"]]


def test_a_required_sandbox_refuses_to_start_without_landlock(tmp_path: Path):
    environment = environment_for(tmp_path / "data", DECODER_SANDBOX="required")
    command = [sys.executable, *WITHOUT_LANDLOCK]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 3
    assert "landlock cannot be used on this system" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_required_sandbox_starts_on_this_kernel_and_logs_nothing(tmp_path: Path):
    with started(environment_for(tmp_path / "data", DECODER_SANDBOX="required")) as running:
        assert incomplete_events(running.log.read_text()) == []
