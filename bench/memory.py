"""The memory that 32 parallel uploads of 9 MiB need: in the service's main process, and in all its processes."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from threading import Event

import httpx

from bench.processes import pss_mebibytes
from tests.acceptance.conftest import Running, environment_for, started
from tests.aws_emulators import AwsEmulator, aws_emulator
from tests.pictures import jpeg

UPLOADS = 32
SIZE = 9 * 1024 * 1024
_INTERVAL_SECONDS = 0.05


async def upload_all(service: Running, headers: dict[str, str], photo: bytes, count: int) -> None:
    async with httpx.AsyncClient(base_url=service.url, timeout=120) as client:

        async def upload() -> int:
            files = {"file": ("a.jpg", photo)}
            return (await client.post("/api/v1/images/upload", files=files, headers=headers)).status_code

        statuses = await asyncio.gather(*(upload() for _ in range(count)))
    assert set(statuses) == {201}, statuses


def peak_mebibytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


@contextmanager
def largest_memory_of_all(pid: int) -> Iterator[list[float]]:
    """Yield a list that contains, at the end, the largest memory of the process and its descendants, in MiB."""
    largest, ended = [pss_mebibytes(pid)], Event()

    def observe() -> None:
        while not ended.wait(_INTERVAL_SECONDS):
            largest[0] = max(largest[0], pss_mebibytes(pid))

    with ThreadPoolExecutor(1) as threads:
        observer = threads.submit(observe)
        try:
            yield largest
        finally:
            ended.set()
        observer.result()


def run(name: str, aws: AwsEmulator | None) -> None:
    image = jpeg(1200, 900)
    photo = image + hashlib.shake_256(b"noise").digest(SIZE - len(image))
    with tempfile.TemporaryDirectory() as folder, started(environment_for(Path(folder) / "data", aws)) as service:
        headers = service.register()
        asyncio.run(upload_all(service, headers, photo, 2))
        Path(f"/proc/{service.process.pid}/clear_refs").write_text("5")  # resets the peak
        before = peak_mebibytes(service.process.pid)
        with largest_memory_of_all(service.process.pid) as of_all:
            asyncio.run(upload_all(service, headers, photo, UPLOADS))
        peak = peak_mebibytes(service.process.pid)
    total = UPLOADS * SIZE / 1024 / 1024
    print(
        f"{UPLOADS} parallel uploads of 9 MiB ({total:.0f} MiB), {name}: peak {peak:.0f} MiB, before {before:.0f} MiB, "
        f"difference {peak - before:.0f} MiB; with its child processes {of_all[0]:.0f} MiB"
    )


def main() -> None:
    run("embedded", None)
    with aws_emulator() as aws:
        run(f"aws ({aws.name})", aws)


if __name__ == "__main__":
    main()
