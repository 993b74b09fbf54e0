"""The responses of the service to generated requests conform to its OpenAPI description."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.acceptance.conftest import ROOT, environment_for, started
from tests.aws_emulators import free_port

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

MIN_CASES = 500
EXCLUDED = (
    *("deleteAccount", "signOut"),  # afterwards every response is a 401
    *("createResumableUpload", "sendResumableUpload"),  # their media type cannot be generated
    "watchJob",  # a stream lasts as long as its job
    "watchImage",
)


@contextmanager
def catalog() -> Iterator[str]:
    """Start the fake catalog as a process; yield its URL."""
    port = free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_catalog", str(port)], cwd=ROOT, stdout=subprocess.DEVNULL
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(300)


@pytest.mark.slow
def test_schemathesis_finds_no_undocumented_response(tmp_path: Path):
    with catalog() as url, started(environment_for(tmp_path / "data", PRODUCT_CATALOG_URL=url)) as running:
        headers = running.register()
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.url}/openapi.json"]
        excluded = [option for name in EXCLUDED for option in ("--exclude-operation-id", name)]
        options = [*excluded, "--checks", CHECKS, "--max-examples", "25", "--seed", "1", "--no-color", "--workers", "1"]
        header = ["--header", f"Authorization: {headers['Authorization']}"]
        done = subprocess.run(
            [*command, *options, *header], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False
        )
        assert done.returncode == 0, done.stdout[-6000:]
        counted = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert counted, done.stdout
        assert int(counted[1]) == int(counted[2]) > MIN_CASES
        assert running.process.poll() is None
