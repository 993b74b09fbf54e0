"""The processor time of a list page of 50 images and of a refused request, beside a FastAPI route that does no work.

The route is measured with uvicorn's default HTTP parser, httptools, and with h11, which this service uses.
"""

from __future__ import annotations

import asyncio
import statistics
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from app.settings import Settings
from bench.listing import FEW, add_all_images, register
from bench.processes import cpu_seconds
from bench.report import aim, save, table
from bench.throughput import ROUNDS, Target, open_targets
from tests.acceptance.conftest import Running, environment_for, started
from tests.aws_emulators import AwsEmulator, aws_emulator

REQUESTS = 200
LIMITS = {"embedded": 4.0, "aws": 9.0}
"""In milliseconds, for a page."""
PAGE_REASONS = {
    "embedded": "By a sampling profile, 25 % of it are the five signatures per image, 19 % reading the records, "
    "12 % sending the body, and 11 % making the JSON. Most of the rest are FastAPI, the middleware and h11.",
    "aws": "About 4 ms of it are the query with aiobotocore and the decoding of 51 items. The rest is that of the page "
    "on embedded, with longer signatures.",
}
REFUSAL_REASON = (
    "The service needs h11, because httptools loses the bodies of some requests. With h11, the bare route takes "
    "longer, too (last columns). The rest is a problem document with a request id, the checks of the middleware, and "
    "the metrics."
)


def measure(target: Target, *, status: int) -> float:
    """Return the processor time per request in milliseconds."""
    pid = target.service.process.pid
    with httpx.Client(base_url=target.service.url, timeout=60) as client:
        before = cpu_seconds(pid)
        for _ in range(REQUESTS):
            assert client.get(target.path, headers=target.headers).status_code == status
        return (cpu_seconds(pid) - before) / REQUESTS * 1000


def compare(*targets: Target, status: int) -> list[float]:
    """Return the median of each, measured in turns."""
    for target in targets:
        measure(target, status=status)  # a warm-up
    times = [[measure(target, status=status) for target in targets] for _ in range(ROUNDS)]
    return [statistics.median(column) for column in zip(*times, strict=True)]


@contextmanager
def bare_with_h11(folder: Path) -> Iterator[Running]:
    environment = environment_for(folder)
    options = ("--log-level", "warning", "--http", "h11", "--port", environment["PORT"])
    with started(environment, command=("-m", "uvicorn", "bench.simple_service:app", *options)) as service:
        yield service


def run(name: str, folder: Path, aws: AwsEmulator | None) -> tuple[list[list[str]], list[str]]:
    """Return the rows of the table, and the lines about the aims."""
    with open_targets(folder, aws) as targets, bare_with_h11(folder / "h11") as h11:
        ours, plain = targets["ours"].service, targets["plain"].service
        with httpx.Client(base_url=ours.url, timeout=60) as client:
            owner_id, headers = register(client)
        settings = Settings(_env_file=None, **{key.lower(): value for key, value in ours.environment.items()})  # type: ignore[call-arg, arg-type]
        asyncio.run(add_all_images(settings, {owner_id: FEW}))
        path = f"/api/v1/images?limit={FEW}"
        size = len(httpx.get(f"{ours.url}{path}", headers=headers).content)
        bare_page = f"/page?size={size}"
        page = compare(Target(ours, path, headers), *(Target(bare, bare_page, {}) for bare in (plain, h11)), status=200)
        refusal = compare(Target(ours, path, {}), *(Target(bare, "/refused", {}) for bare in (plain, h11)), status=401)
    rows = [
        [f"{name}, page of {FEW} images, {size / 1000:.0f} kB", *format_times(page)],
        [f"{name}, refused request", *format_times(refusal)],
    ]
    backend = name.split(maxsplit=1)[0]
    aims = [
        aim(
            f"page of {FEW} images on {name}",
            value=page[0],
            limit=LIMITS[backend],
            unit="ms",
            reason=PAGE_REASONS[backend],
        ),
        aim(
            f"refused request on {name}, divided by that of the bare route",
            value=refusal[0] / refusal[1],
            limit=1.3,
            unit="times",
            reason=REFUSAL_REASON,
        ),
    ]
    return rows, aims


def format_times(times: list[float]) -> list[str]:
    ours, plain, h11 = times
    return [f"{ours:.2f}", f"{plain:.2f}", f"{ours / plain:.1f}", f"{h11:.2f}", f"{ours / h11:.1f}"]


def main() -> None:
    rows, aims = [], []
    with tempfile.TemporaryDirectory() as folder, aws_emulator() as emulator:
        for name, aws in (("embedded", None), (f"aws ({emulator.name})", emulator)):
            more_rows, more_aims = run(name, Path(folder) / name.split()[0], aws)
            rows += more_rows
            aims += more_aims
    columns = ("request", "CPU ms", "bare FastAPI", "ratio", "bare FastAPI with h11", "ratio")
    save("listing", "\n".join([table(columns, rows), "", *aims]))


if __name__ == "__main__":
    main()
