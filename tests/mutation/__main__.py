"""Applies each mutation to a copy of the repository and runs its tests: `python -m tests.mutation [FILE]`.

Prints the mutations that no test noticed, and fails if they are more than 5 %.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

from tests.mutation.mutations import MUTATIONS

ROOT = Path(__file__).parents[2]
MAX_SURVIVING_SHARE = 0.05
SECONDS_PER_RUN = 900
_TESTS_FAILED = 1
Mutation = tuple[str, str, str, str]
"""The file, the line, its replacement and the tests."""


def main(only: str) -> int:
    mutations = [
        (file, old, new, tests) for file, (tests, changes) in MUTATIONS.items() for old, new in changes if only in file
    ]
    with copies(os.cpu_count() or 1) as folders, ThreadPoolExecutor(folders.qsize()) as pool:

        def run(mutation: Mutation) -> bool:
            folder = folders.get()
            try:
                return is_noticed(folder, mutation)
            finally:
                folders.put(folder)

        killed = 0
        for (file, old, new, _), was_noticed in zip(mutations, pool.map(run, mutations), strict=True):
            print(f"{'killed  ' if was_noticed else 'SURVIVED'} {file}: {old} -> {new or '(removed)'}", flush=True)
            killed += was_noticed
    print(f"{killed} of {len(mutations)} mutations were killed.")
    return 0 if len(mutations) - killed <= MAX_SURVIVING_SHARE * len(mutations) else 1


@contextmanager
def copies(count: int) -> Iterator[Queue[Path]]:
    """Yield copies of the files that git tracks, with access to the same virtual environments."""
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, check=True, capture_output=True, text=True).stdout  # noqa: S607
    with tempfile.TemporaryDirectory(prefix="mutation-") as parent:
        queue: Queue[Path] = Queue()
        for number in range(count):
            folder = Path(parent) / str(number)
            for name in listed.splitlines():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(ROOT / name, folder / name)
            for name in (".venv", ".venv-ministack"):
                (folder / name).symlink_to(ROOT / name)
            (Path(parent) / "shared").unlink(missing_ok=True)
            (Path(parent) / "shared").symlink_to(ROOT.parent / "shared")
            queue.put(folder)
        yield queue


def is_noticed(folder: Path, mutation: Mutation) -> bool:
    """Return whether a test fails. Raises ValueError if the line is not there or the tests cannot run."""
    file, old, new, tests = mutation
    path = folder / file
    source = path.read_text()
    lines = [line for line in source.splitlines(keepends=True) if line.strip() == old]
    if not lines:
        raise ValueError(f"{file} has no line {old!r}")
    mutated = source
    for line in lines:
        indentation = line[: len(line) - len(line.lstrip())]
        mutated = mutated.replace(line, f"{indentation}{new}\n" if new else "")
    path.write_text(mutated)
    try:
        command = [sys.executable, "-m", "pytest", "-x", "-p", "no:cacheprovider", *shlex.split(tests)]
        done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=SECONDS_PER_RUN)
    except subprocess.TimeoutExpired:
        return True
    finally:
        path.write_text(source)
    if done.returncode not in (0, _TESTS_FAILED):
        raise ValueError(f"{tests}: {done.stdout[-2000:]}")
    return done.returncode == _TESTS_FAILED


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:] or [""]))
