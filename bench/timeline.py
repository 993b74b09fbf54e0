"""The time of pages by time taken, and of the months, for an owner of BENCH_IMAGES images (300,000 by default).

With BENCH_BACKEND=aws in the DynamoDB of an emulator, otherwise in SQLite.
"""

from __future__ import annotations

import asyncio
import os
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from app.container.backends import open_dynamodb_tables, open_sqlite_tables
from app.container.data_dir import DataDir
from app.domain.images import Quota
from app.domain.metadata import Metadata
from app.domain.timeline import Period, Position
from app.settings import Settings
from bench.listing import make_image
from tests.acceptance.conftest import environment_for
from tests.aws_emulators import aws_emulator

OWNER = "owner"
IMAGES = int(os.environ.get("BENCH_IMAGES", "300000"))
FIRST = datetime(2006, 1, 1)  # noqa: DTZ001 - the clock of a camera
YEARS = 20
ADDED_AT_ONCE = 32
PAGE = 50
ROUNDS = 100


def time_of(share: float) -> str:
    """Return the time of this share of the period."""
    return (FIRST + timedelta(days=365 * YEARS * share)).isoformat(timespec="milliseconds")


async def measure(settings: Settings) -> None:
    is_sqlite = settings.tables == "sqlite"
    tables = open_sqlite_tables(DataDir(settings.data_dir), is_only_process=True) if is_sqlite else None
    async with tables or open_dynamodb_tables(settings) as opened:
        dice = random.Random(0)

        async def add() -> None:
            image = replace(make_image(OWNER), metadata=Metadata(taken_at=time_of(dice.random())))
            await opened.images.add(image, quota=Quota())

        started_at = time.perf_counter()
        for _ in range(IMAGES // ADDED_AT_ONCE):
            await asyncio.gather(*(add() for _ in range(ADDED_AT_ONCE)))
        rate = IMAGES / (time.perf_counter() - started_at)
        print(f"{settings.tables}, {IMAGES} images, added at {rate:.0f} per second")
        by_time = partial(opened.timeline.page_by_time, OWNER, period=Period(), limit=PAGE)
        for place, share in (("front", 0.999), ("middle", 0.5), ("end", 0.01)):
            await show(f"page at the {place}", partial(by_time, before=Position(time_of(share), "")))
        await show("page by upload", lambda: opened.images.page(OWNER, before=None, limit=PAGE))
        await show(f"{len(await opened.timeline.months(OWNER))} months", lambda: opened.timeline.months(OWNER))


async def show(name: str, request: Callable[[], Awaitable[object]]) -> None:
    times = list[float]()
    for _ in range(ROUNDS):
        started_at = time.perf_counter()
        await request()
        times.append((time.perf_counter() - started_at) * 1000)
    print(f"  {name}: {statistics.median(times):.1f} ms, 95% within {statistics.quantiles(times, n=20)[-1]:.1f} ms")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        aws = stack.enter_context(aws_emulator()) if os.environ.get("BENCH_BACKEND") == "aws" else None
        environment = environment_for(Path(folder) / "service", aws)
        asyncio.run(measure(Settings(_env_file=None, **{key.lower(): value for key, value in environment.items()})))  # type: ignore[call-arg, arg-type]


if __name__ == "__main__":
    main()
