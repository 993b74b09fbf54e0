"""The time and the memory of a reconcile run over 10,000 images of five objects each, on the embedded backend."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from app.common.sidecars import write_sidecar
from app.container.backends import open_sqlite_tables
from app.container.data_dir import DataDir
from app.domain.images import Image, Quota
from app.storage.disk.store import open_disk
from bench.listing import make_image
from bench.report import save, table
from bench.throughput import ROUNDS
from tests.acceptance.conftest import environment_for

IMAGES = 10_000
OWNERS = 100
_BATCH = 64


async def fill(data_dir: DataDir) -> None:
    images = [make_image(f"owner{n % OWNERS}") for n in range(IMAGES)]
    tables = open_sqlite_tables(data_dir, is_only_process=True)
    async with tables as opened, open_disk(data_dir.objects, url_key=b"", ttl_seconds=60, window_seconds=60) as store:

        async def add(image: Image) -> None:
            # The folder exists before its files, which need not be durable here.
            await write_sidecar(store, image)
            await asyncio.to_thread(write_objects, data_dir.objects, image)
            await opened.images.add(image, quota=Quota())

        for start in range(0, IMAGES, _BATCH):
            await asyncio.gather(*map(add, images[start : start + _BATCH]))


def write_objects(folder: Path, image: Image) -> None:
    for key in image.object_keys:
        if key != image.sidecar_key:
            (folder / key).write_bytes(b"x")


def measure(environment: dict[str, str]) -> tuple[float, float, float]:
    """Run the command. Return its seconds, its processor seconds, and its largest memory in MiB."""
    began = time.perf_counter()
    command = [sys.executable, "-m", "app", "reconcile"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)  # noqa: S603
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    assert process.returncode == 0
    return time.perf_counter() - began, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_for(Path(folder) / "data")
        empty = environment_for(Path(folder) / "empty")
        asyncio.run(fill(DataDir(Path(folder) / "data")))
        runs = [(measure(environment), measure(empty)) for _ in range(ROUNDS)]
    rows = []
    for name, results in zip((f"{IMAGES:,} images", "no image"), zip(*runs, strict=True), strict=True):
        seconds, cpu, memory = (statistics.median(values) for values in zip(*results, strict=True))
        rows.append([f"embedded, {name}", f"{seconds:.1f}", f"{cpu:.1f}", f"{memory:.0f}"])
    save("reconcile", table(("", "seconds", "CPU seconds", "largest memory in MiB"), rows))


if __name__ == "__main__":
    main()
