"""The cost to start: processor time to import `main` and to serve the first response, and the memory afterwards.

`python -m bench.startup [REVISION]` measures the working tree, in turns with that Git revision if one is given.
`rich` is hidden: the requirements of the service do not contain it, but structlog and httpx import it if it is there.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from tests.acceptance.conftest import descendants, environment_for
from tests.aws_emulators import AwsEmulator, aws_emulator

ROOT = Path(__file__).parents[1]
ROUNDS = 11
_TICKS = os.sysconf("SC_CLK_TCK")
_START_SECONDS = 300


@dataclass(frozen=True, slots=True)
class Cost:
    cpu: float
    """Processor time of the process, in seconds."""
    cpu_of_all: float
    """The same, with all child processes."""
    rss: float = 0
    """Memory of the process alone, in MiB."""
    pss: float = 0
    """The same, with pages that it shares with other processes counted in part."""


def measure_import(root: Path, environment: dict[str, str]) -> Cost:
    process = subprocess.Popen(
        [sys.executable, "-c", "import main"], cwd=root, env=environment, stderr=subprocess.DEVNULL
    )
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"`import main` failed in {root}.")
    seconds = usage.ru_utime + usage.ru_stime
    return Cost(seconds, seconds)


def measure_start(root: Path, environment: dict[str, str]) -> Cost:
    """Start the service, send one request to /health/ready, and stop the service."""
    process = subprocess.Popen(
        [sys.executable, "main.py"], cwd=root, env=environment, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL
    )
    try:
        port = int(environment["PORT"])
        _wait_until_listening(port, process)
        response = httpx.get(f"http://127.0.0.1:{port}/health/ready", timeout=60)
        response.raise_for_status()
        cpu = _cpu_seconds(process.pid)
        of_all = cpu + sum(_cpu_seconds(pid) for pid in descendants(process.pid))
        return Cost(cpu, of_all, _mebibytes(process.pid, "Rss"), _mebibytes(process.pid, "Pss"))
    finally:
        process.terminate()
        process.wait(60)


def _wait_until_listening(port: int, process: subprocess.Popen[bytes]) -> None:
    # The service listens only when it is ready. A failed attempt to connect costs it nothing.
    deadline = time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with socket.socket() as connection:
            if connection.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    raise RuntimeError(f"The service did not start. Its exit status is {process.returncode}.")


def _cpu_seconds(pid: int) -> float:
    """Return the processor time of the process, without that of its children."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    user, system = fields[11:13]
    return (int(user) + int(system)) / _TICKS


def _mebibytes(pid: int, name: str) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(f"{name}:"))


def compare(name: str, roots: list[Path], aws: AwsEmulator | None, *, imports: bool) -> None:
    measure = measure_import if imports else measure_start
    costs: dict[Path, list[Cost]] = {root: [] for root in roots}
    with tempfile.TemporaryDirectory() as folder:
        (Path(folder) / "rich.py").write_text("raise ModuleNotFoundError\n")
        environments = {
            root: environment_for(Path(folder) / str(n), aws, PYTHONPATH=folder) for n, root in enumerate(roots)
        }
        for root in roots:
            measure(root, environments[root])  # compiles the modules, and creates the database
        for _ in range(ROUNDS):
            for root in roots:
                costs[root].append(measure(root, environments[root]))
    for root in roots:
        cpu, of_all, rss, pss = (
            statistics.median(getattr(cost, field) for cost in costs[root])
            for field in ("cpu", "cpu_of_all", "rss", "pss")
        )
        more = f", with child processes {of_all:.2f} s, RSS {rss:.0f} MiB, PSS {pss:.0f} MiB" if rss else ""
        revision = "working tree" if root == ROOT else root.name
        print(f"{name}, {revision}: processor time {cpu:.2f} s{more}", flush=True)
    if len(roots) > 1:
        pairs = zip(*(costs[root] for root in roots), strict=True)
        print(f"{name}: ratio {statistics.median(new.cpu / old.cpu for new, old in pairs):.2f}", flush=True)


@contextmanager
def checked_out(revision: str | None) -> Iterator[list[Path]]:
    """Yield the roots to measure: the working tree, and a temporary one of the revision if one is given."""
    with ExitStack() as stack:
        roots = [ROOT]
        if revision:
            tree = Path(stack.enter_context(tempfile.TemporaryDirectory())) / revision.replace("/", "-")
            _git("worktree", "add", "--quiet", "--detach", str(tree), revision)
            stack.callback(_git, "worktree", "remove", "--force", str(tree))
            roots.append(tree)
        yield roots


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], cwd=ROOT, check=True)  # noqa: S603, S607 - the arguments are from this file


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("revision", nargs="?", help="a Git revision to compare with")
    with checked_out(parser.parse_args().revision) as roots:
        compare("import", roots, None, imports=True)
        compare("first response, embedded", roots, None, imports=False)
        with aws_emulator() as aws:
            compare(f"first response, aws ({aws.name})", roots, aws, imports=False)


if __name__ == "__main__":
    main()
