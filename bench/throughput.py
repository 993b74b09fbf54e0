"""Uploads per second and processor time per upload, beside those of the plain service of bench/simple_service.py.

Both services run on the same backend and take turns. The variable BENCH_ROUNDS replaces the number of rounds.
"""

from __future__ import annotations

import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx

from bench.processes import cpu_seconds
from bench.rendering import make_photo
from bench.report import aim, save, table
from tests.acceptance.conftest import Running, environment_for, patient, started
from tests.aws_emulators import AwsEmulator, aws_emulator
from tests.pictures import encoded

ROUNDS = int(os.environ.get("BENCH_ROUNDS", "7"))
CONCURRENCY = (1, 8, 32)
MIN_UPLOADS = 4
REASON = "This service decodes each file in a process of its own and syncs what it has stored; the plain one does not."


@dataclass(frozen=True)
class Target:
    service: Running
    path: str
    headers: dict[str, str]


@dataclass(frozen=True)
class Cost:
    uploads_per_second: float
    cpu: float
    """Milliseconds of all processes of the service, per upload."""


def make_files() -> dict[str, bytes]:
    large, medium, small = make_photo(4032, 3024), make_photo(1920, 1080), make_photo(1600, 1200)
    return {
        "JPEG, 12 MP": encoded(large, "JPEG", quality=85),
        "JPEG, 1080p": encoded(medium, "JPEG", quality=85),
        "PNG, 2 MP": encoded(small, "PNG"),
        "WebP, 2 MP": encoded(medium, "WEBP", quality=80),
    }


@contextmanager
def open_targets(folder: Path, aws: AwsEmulator | None) -> Iterator[dict[str, Target]]:
    folder.mkdir()
    ours = environment_for(folder / "ours", aws, RENDER_PROCESSES="2", LOG_LEVEL="WARNING")
    plain = environment_for(folder / "plain", aws)
    command = ("-m", "uvicorn", "bench.simple_service:app", "--log-level", "warning", "--port", plain["PORT"])
    with started(ours, command=patient(ours, "main.py")) as service, started(plain, command=command) as other:
        yield {
            "ours": Target(service, "/api/v1/images/upload", service.register()),
            "plain": Target(other, "/upload", {}),
        }


async def measure(target: Target, file: bytes, *, concurrency: int) -> Cost:
    """Upload the file several times. Each client retries what the service refuses because it is busy."""
    count = max(concurrency, MIN_UPLOADS)
    slots = asyncio.Semaphore(concurrency)
    async with httpx.AsyncClient(base_url=target.service.url, timeout=600) as client:

        async def upload() -> None:
            async with slots:
                while True:
                    files = {"file": ("a", file)}
                    response = await client.post(target.path, files=files, headers=target.headers)
                    if response.status_code not in (429, 503):
                        break
                    await asyncio.sleep(0.1)
                assert response.status_code == 201, response.text

        cpu, began = cpu_seconds(target.service.process.pid), time.perf_counter()
        await asyncio.gather(*(upload() for _ in range(count)))
        seconds = time.perf_counter() - began
    return Cost(count / seconds, (cpu_seconds(target.service.process.pid) - cpu) / count * 1000)


async def compare(targets: dict[str, Target], file: bytes, *, concurrency: int) -> dict[str, Cost]:
    """Return the medians of both services."""
    costs: dict[str, list[Cost]] = {name: [] for name in targets}
    for _ in range(ROUNDS):
        for name, target in targets.items():
            costs[name].append(await measure(target, file, concurrency=concurrency))
    return {
        name: Cost(*(statistics.median(getattr(c, f) for c in measured) for f in ("uploads_per_second", "cpu")))
        for name, measured in costs.items()
    }


async def run(name: str, targets: dict[str, Target]) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the table, and the lines about the aims."""
    rows, aims = [], []
    for kind, file in make_files().items():
        for target in targets.values():
            await measure(target, file, concurrency=1)  # a warm-up
        for concurrency in CONCURRENCY:
            result = await compare(targets, file, concurrency=concurrency)
            ours, plain = result["ours"], result["plain"]
            rows.append(
                [
                    f"{name}, {kind}, {len(file) / 1e6:.1f} MB",
                    str(concurrency),
                    f"{ours.uploads_per_second:.1f}",
                    f"{plain.uploads_per_second:.1f}",
                    f"{ours.cpu:.0f}",
                    f"{plain.cpu:.0f}",
                    f"{ours.cpu / plain.cpu:.2f}",
                ]
            )
            print(*rows[-1], sep=" | ", flush=True)
        what = f"processor time of {kind} on {name}, {CONCURRENCY[-1]} at once, divided by that of the plain service"
        aims.append(aim(what, value=ours.cpu / plain.cpu, limit=1, unit="times", reason=REASON))
    return rows, aims


def main() -> None:
    rows, aims = [], []
    with tempfile.TemporaryDirectory() as folder, aws_emulator() as emulator:
        for name, aws in (("embedded", None), (f"aws ({emulator.name})", emulator)):
            with open_targets(Path(folder) / name.split()[0], aws) as targets:
                more_rows, more_aims = asyncio.run(run(name, targets))
            rows += more_rows
            aims += more_aims
    columns = ("file", "at once", "uploads/s", "plain", "CPU ms per upload", "plain", "CPU ratio")
    save("uploads", "\n".join([table(columns, rows), "", *aims]))


if __name__ == "__main__":
    main()
