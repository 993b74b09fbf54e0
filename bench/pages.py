"""The processor time of a list page of 50 images and of a refused request, beside a FastAPI route that does no work."""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from pathlib import Path

import httpx

from app.settings import Settings
from bench.listing import FEW, add_all_images, register
from bench.processes import cpu_seconds
from bench.report import aim, save, table
from bench.throughput import ROUNDS, Target, open_targets
from tests.aws_emulators import AwsEmulator, aws_emulator

REQUESTS = 200
LIMITS = {"embedded": 4.0, "aws": 9.0}
"""In milliseconds, for a page."""
PAGE_REASON = "The largest parts are four signatures per image, reading the records, and writing the response as JSON."
REFUSAL_REASON = "A refusal is a problem document with a request id, security headers and a line in the log."


def measure(target: Target, *, status: int) -> float:
    """Return the processor time per request in milliseconds."""
    pid = target.service.process.pid
    with httpx.Client(base_url=target.service.url, timeout=60) as client:
        before = cpu_seconds(pid)
        for _ in range(REQUESTS):
            assert client.get(target.path, headers=target.headers).status_code == status
        return (cpu_seconds(pid) - before) / REQUESTS * 1000


def compare(ours: Target, bare: Target, *, status: int) -> tuple[float, float]:
    """Return the medians of both, measured in turns."""
    for target in (ours, bare):
        measure(target, status=status)  # a warm-up
    times = [(measure(ours, status=status), measure(bare, status=status)) for _ in range(ROUNDS)]
    first, second = zip(*times, strict=True)
    return statistics.median(first), statistics.median(second)


def run(name: str, folder: Path, aws: AwsEmulator | None) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the table, and the lines about the aims."""
    with open_targets(folder, aws) as targets:
        ours, plain = targets["ours"].service, targets["plain"].service
        with httpx.Client(base_url=ours.url, timeout=60) as client:
            owner_id, headers = register(client)
        settings = Settings(_env_file=None, **{key.lower(): value for key, value in ours.environment.items()})  # type: ignore[call-arg, arg-type]
        asyncio.run(add_all_images(settings, {owner_id: FEW}))
        path = f"/api/v1/images?limit={FEW}"
        size = len(httpx.get(f"{ours.url}{path}", headers=headers).content)
        page = compare(Target(ours, path, headers), Target(plain, f"/page?size={size}", {}), status=200)
        refusal = compare(Target(ours, path, {}), Target(plain, "/refused", {}), status=401)
    rows = [
        [f"{name}, page of {FEW} images, {size / 1000:.0f} kB", *format_times(page)],
        [f"{name}, refused request", *format_times(refusal)],
    ]
    limit = LIMITS[name.split(maxsplit=1)[0]]
    aims = [
        aim(f"page of {FEW} images on {name}", value=page[0], limit=limit, unit="ms", reason=PAGE_REASON),
        aim(
            f"refused request on {name}, divided by that of the bare route",
            value=refusal[0] / refusal[1],
            limit=1.3,
            unit="times",
            reason=REFUSAL_REASON,
        ),
    ]
    return rows, aims


def format_times(times: tuple[float, float]) -> list[str]:
    return [f"{times[0]:.2f}", f"{times[1]:.2f}", f"{times[0] / times[1]:.1f}"]


def main() -> None:
    rows, aims = [], []
    with tempfile.TemporaryDirectory() as folder, aws_emulator() as emulator:
        for name, aws in (("embedded", None), (f"aws ({emulator.name})", emulator)):
            more_rows, more_aims = run(name, Path(folder) / name.split()[0], aws)
            rows += more_rows
            aims += more_aims
    columns = ("request", "CPU ms", "bare FastAPI", "ratio")
    save("listing", "\n".join([table(columns, rows), "", *aims]))


if __name__ == "__main__":
    main()
