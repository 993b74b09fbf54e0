"""What 32 parallel uploads of 9 MiB add to the memory of the service's own process, the render processes apart."""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from pathlib import Path

import httpx

from tests.acceptance.conftest import Running, environment_for, started
from tests.pictures import jpeg
from tests.stand_ins import StandIn, stand_in

UPLOADS = 32
SIZE = 9 * 1024 * 1024


async def upload_all(running: Running, headers: dict[str, str], photo: bytes, count: int) -> None:
    async with httpx.AsyncClient(base_url=running.url, timeout=120) as client:

        async def upload() -> int:
            files = {"file": ("a.jpg", photo)}
            return (await client.post("/api/v1/images/upload", files=files, headers=headers)).status_code

        statuses = await asyncio.gather(*(upload() for _ in range(count)))
    assert set(statuses) == {201}, statuses


def peak_mebibytes(pid: int) -> float:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def run(name: str, aws: StandIn | None) -> None:
    picture = jpeg(1200, 900)
    photo = picture + hashlib.shake_256(b"noise").digest(SIZE - len(picture))
    with tempfile.TemporaryDirectory() as folder, started(environment_for(Path(folder) / "data", aws)) as running:
        headers = running.register()
        asyncio.run(upload_all(running, headers, photo, 2))
        Path(f"/proc/{running.process.pid}/clear_refs").write_text("5")  # forget the peak so far
        before = peak_mebibytes(running.process.pid)
        asyncio.run(upload_all(running, headers, photo, UPLOADS))
        peak = peak_mebibytes(running.process.pid)
    held = UPLOADS * SIZE / 1024 / 1024
    print(
        f"{UPLOADS} parallel uploads of 9 MiB, {name}: peak {peak:.0f} MiB after {before:.0f} MiB at rest,"
        f" {peak - before:.0f} MiB more (held whole they would be {held:.0f} MiB)"
    )


def main() -> None:
    run("embedded", None)
    with stand_in() as aws:
        run(f"aws ({aws.name})", aws)


if __name__ == "__main__":
    main()
