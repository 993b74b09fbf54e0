"""Tests of the data directory: its secret, and the lock that lets only one process serve from it."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from app.container.data_dir import DataDir, DataDirInUse


def test_the_secret_is_generated_once_and_readable_only_by_its_owner(tmp_path: Path):
    secret = DataDir(tmp_path / "data").secret()
    assert len(secret) >= 32
    assert DataDir(tmp_path / "data").secret() == secret
    assert (tmp_path / "data" / "secret").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "data").stat().st_mode & 0o777 == 0o700


def test_processes_that_start_at_the_same_time_get_the_same_secret(tmp_path: Path):
    program = "import sys, pathlib, app.container.data_dir as d; print(d.DataDir(pathlib.Path(sys.argv[1])).secret())"

    def run(_: int) -> str:
        return subprocess.run(
            [sys.executable, "-c", program, str(tmp_path)], capture_output=True, check=True, text=True
        ).stdout

    with ThreadPoolExecutor(4) as pool:
        assert len(set(pool.map(run, range(4)))) == 1


def test_only_one_process_at_a_time_serves_from_a_folder(tmp_path: Path):
    with DataDir(tmp_path).serving(), pytest.raises(DataDirInUse, match="DATA_DIR"), DataDir(tmp_path).serving():
        pass
    with DataDir(tmp_path).serving():
        pass
