"""Memory does not grow with the number of images, and a killed run continues. `make test-scale` has a million."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest

from tests.scale.synthetic import Synthetic

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
LARGE = int(os.environ.get("SCALE_IMAGES", "20000"))
SMALL = LARGE // 20 if LARGE < 1_000_000 else LARGE // 100
SLICE_SECONDS = 1 if LARGE < 1_000_000 else 5
MAX_GROWTH_MIB = 32


def start(folder: Path, images: int, *, days: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "tests.scale.worker", str(folder), str(images), str(days), str(SLICE_SECONDS)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def result_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    output, _ = process.communicate(timeout=3 * 3600)
    assert process.returncode == 0
    result: dict[str, Any] = json.loads(output.splitlines()[-1])
    return result


def state_of(folder: Path) -> tuple[str, str, int]:
    """Return the run's id, its step, and the number of images that it has compared."""
    with suppress(sqlite3.OperationalError), closing(sqlite3.connect(folder / "service.db")) as database:
        for run_id, step, counts in database.execute("SELECT run_id, step, counts FROM reconcile_state"):
            return run_id, step, json.loads(counts).get("images", 0)
    return "", "", 0


def kill_at_checkpoint(folder: Path, images: int, *, days: int, after_images: int, previous: str) -> str:
    """Start a process and kill it when the run has compared so many images. Return the id of the run."""
    process = start(folder, images, days=days)
    while process.poll() is None:
        run_id, step, compared = state_of(folder)
        if run_id != previous and (compared >= after_images or step not in {"", "compare"}):
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return run_id
        time.sleep(0.05)
    raise AssertionError("The run ended before it could be killed.")


def expected_of(folder: Path, images: int) -> tuple[dict[str, int], dict[str, int], list[str]]:
    """Return some counts of the first run and of a later one, and what the later one deletes."""
    synthetic = Synthetic(folder, images)
    numbers = range(images)
    orphans = [n for n in numbers if synthetic.is_orphan(n) and not synthetic.is_lost(n)]
    lost = [n for n in numbers if synthetic.is_lost(n) and not synthetic.is_orphan(n)]
    records = sum(1 for n in numbers if not synthetic.is_orphan(n))
    objects = 2 * sum(1 for n in numbers if not synthetic.is_lost(n))
    deleted = [synthetic.image(n).id for n in lost]
    deleted += [synthetic.folder(n) + name for n in orphans for name in ("original.jpg", "metadata.json")]
    walked = {"images": records, "objects": objects, "deletions_withheld": 0, "records_kept": 0}
    first = {**walked, "unreferenced": 2 * len(orphans), "records_lost": len(lost), "unreferenced_deleted": 0}
    later = {**walked, "unreferenced": 0, "records_lost": 0}
    return first, later, sorted(deleted)


def test_memory_is_constant_and_killed_runs_continue(tmp_path: Path):
    peaks = {}
    for images in (SMALL, LARGE):
        folder = tmp_path / str(images)
        folder.mkdir()
        first, later, deleted = expected_of(folder, images)
        run_id, results = "", []
        for days, expected in ((0, first), (8, later)):
            if images == LARGE:
                kill_at_checkpoint(folder, images, days=days, after_images=images // 10, previous=run_id)
                killed = kill_at_checkpoint(folder, images, days=days, after_images=images // 3, previous=run_id)
                run_id = killed
            result = result_of(start(folder, images, days=days))
            results.append(result)
            assert expected.items() <= result.items()
            if images == LARGE:
                assert state_of(folder)[0] == run_id
        assert Synthetic(folder, images).deleted() == deleted
        peaks[images] = max(result["peak_mib"] for result in results)
    growth = peaks[LARGE] - peaks[SMALL]
    sys.stderr.write(f"peak memory: {peaks}, growth {growth:.1f} MiB\n")
    assert growth < MAX_GROWTH_MIB


def test_two_processes_delete_what_one_would(tmp_path: Path):
    first, later, deleted = expected_of(tmp_path, SMALL)
    for days, expected in ((0, first), (8, later)):
        processes = [start(tmp_path, SMALL, days=days) for _ in range(2)]
        results = [result_of(process) for process in processes]
        # If one of them is late, it begins another run, which finds nothing to do.
        assert any(expected.items() <= result.items() for result in results)
    assert Synthetic(tmp_path, SMALL).deleted() == deleted
