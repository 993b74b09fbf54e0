"""The package, installed into a new virtual environment as a user installs it."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT
from tests.python_client.conftest import SECONDS

pytestmark = pytest.mark.slow

SAMPLE = """
from image_upload_client import ImageClient

found: str = ImageClient("http://localhost:8000").get("id")["filename"]
wrong: int = ImageClient("http://localhost:8000").get("id")["filename"]
"""


def run(*command: object, status: int = 0) -> str:
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return done.stdout


def test_pip_installs_the_client_the_command_and_the_types(tmp_path: Path):
    # A copy, because the build writes into the folder.
    folder = shutil.copytree(ROOT / "clients/python", tmp_path / "python")
    environment = tmp_path / "environment"
    run(sys.executable, "-m", "venv", environment)
    run(environment / "bin/pip", "install", "--disable-pip-version-check", folder)
    assert run(environment / "bin/images", "--version") == "images, version 0.1.0\n"
    commands = run(environment / "bin/images", "--help").partition("Commands:")[2]
    names = {line.split()[0] for line in commands.splitlines() if line.strip()}
    assert names >= {"login", "logout", "upload", "sync", "list", "get", "download", "delete", "export", "fetch-ean"}
    sample = tmp_path / "sample.py"
    sample.write_text(SAMPLE)
    errors = run(
        sys.executable, "-m", "mypy", "--strict", "--config-file", "", "--cache-dir", tmp_path / "cache",
        "--python-executable", environment / "bin/python", sample, status=1,
    )  # fmt: skip
    assert "sample.py:5: error: Incompatible types" in errors
    assert errors.rstrip().endswith("Found 1 error in 1 file (checked 1 source file)")
