"""Whatever is sent, the service answers as its own OpenAPI description says it does."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.acceptance.conftest import environment_for, started

CHECKS = "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"

MIN_CASES = 500


def test_schemathesis_finds_no_answer_that_is_not_described(tmp_path: Path):
    with started(environment_for(tmp_path / "data")) as running:
        headers = running.register()
        command = [str(Path(sys.executable).with_name("schemathesis")), "run", f"{running.url}/openapi.json"]
        options = ["--checks", CHECKS, "--max-examples", "25", "--seed", "1", "--no-color", "--workers", "1"]
        header = ["--header", f"Authorization: {headers['Authorization']}"]
        done = subprocess.run(
            [*command, *options, *header], cwd=tmp_path, capture_output=True, text=True, timeout=110, check=False
        )
        assert done.returncode == 0, done.stdout[-6000:]
        counted = re.search(r"(\d+) generated, (\d+) passed", done.stdout)
        assert counted, done.stdout
        assert int(counted[1]) == int(counted[2]) > MIN_CASES
        assert running.process.poll() is None
