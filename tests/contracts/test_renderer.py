"""The Renderer port, kept by the pool of processes: limits, crashes, cancellation, and the corpus."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import signal
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

import pytest
import uvloop
from PIL import Image, ImageStat

from app.adapters import render_pool
from app.adapters.render_pool import RenderPool, open_render_pool
from app.core.errors import (
    AppError,
    DependencyUnavailable,
    FormatUnsupported,
    ImageCorrupt,
    ImageTooExpensive,
    ImageTooLarge,
    Overloaded,
)
from app.core.models import Rendering
from app.core.render_options import RenderOptions
from app.usecases.rendering import render
from tests.pictures import encoded, jpeg, transparent_png

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
OPTIONS = RenderOptions()

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="looks at processes through /proc")

OpenPool = Callable[..., AbstractAsyncContextManager[RenderPool]]


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    async with open_render_pool(OPTIONS, processes=1, queue_limit=2, cpu_seconds=100, wall_seconds=100) as opened:
        yield opened


@pytest.fixture
def misbehaving(monkeypatch: pytest.MonkeyPatch) -> OpenPool:
    monkeypatch.setattr(render_pool, "_WORKER", "tests.contracts.misbehaving_render_worker")
    return partial(open_render_pool, OPTIONS, processes=1, queue_limit=8)


@pytest.fixture
def file_of() -> Iterator[Callable[[bytes], BinaryIO]]:
    opened: list[BinaryIO] = []

    def make(data: bytes) -> BinaryIO:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - closed below
        file.write(data)
        opened.append(file)
        return file

    yield make
    for file in opened:
        file.close()


FileOf = Callable[[bytes], BinaryIO]


def scan_bomb(scans: int = 20_000) -> bytes:
    """Return a progressive JPEG that repeats its last scan: small, well-formed enough, and long to decode."""
    whole = encoded(Image.new("L", (4000, 4000), 90), "JPEG", progressive=True)
    last_scan = whole[whole.rindex(b"\xff\xda") : -2]
    return whole[:-2] + last_scan * scans + whole[-2:]


def process_of(pool: RenderPool) -> int:
    (worker,) = pool._idle
    assert worker is not None
    return worker._process.pid


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - other processes set no Event
            await asyncio.sleep(0.01)


# What it answers


@pytest.mark.parametrize("data", [jpeg(), transparent_png()], ids=["jpeg", "png"])
async def test_pool_answers_what_the_rendering_says(pool: RenderPool, file_of: FileOf, data: bytes):
    assert await pool.render(file_of(data)) == render(io.BytesIO(data), OPTIONS)


async def test_position_of_the_file_neither_matters_nor_moves(pool: RenderPool, file_of: FileOf):
    file = file_of(jpeg())
    file.seek(123)
    await pool.render(file)
    assert file.tell() == 123


@pytest.mark.parametrize(
    "data, error, words",
    [
        (b"%PDF-1.7", FormatUnsupported, "a PDF document"),
        (jpeg()[:-500], ImageCorrupt, "damaged"),
        (encoded(Image.new("1", (16_385, 1)), "PNG"), ImageTooLarge, "16,385 x 1"),
    ],
)
async def test_verdict_comes_with_its_detail(
    pool: RenderPool, file_of: FileOf, data: bytes, error: type[AppError], words: str
):
    with pytest.raises(error, match=words):
        await pool.render(file_of(data))


async def test_renderings_at_once_get_their_own_answers(file_of: FileOf):
    sizes = range(20, 60)
    async with open_render_pool(OPTIONS, processes=2, queue_limit=len(sizes)) as opened:
        results = await asyncio.gather(*(opened.render(file_of(jpeg(width, 30))) for width in sizes))
    assert [result.width for result in results] == list(sizes)


def test_pool_works_on_uvloop(file_of: FileOf):
    async def run() -> Rendering:
        async with open_render_pool(OPTIONS, processes=1, queue_limit=1) as opened:
            return await opened.render(file_of(jpeg()))

    assert uvloop.run(run()).width == 640


# Limits


async def test_image_that_takes_too_long_is_stopped_and_the_next_does_not_notice(file_of: FileOf):
    async with open_render_pool(OPTIONS, processes=1, queue_limit=1, cpu_seconds=1, wall_seconds=100) as opened:
        with pytest.raises(ImageTooExpensive):
            async with asyncio.timeout(50):
                await opened.render(file_of(scan_bomb()))
        assert (await opened.render(file_of(jpeg()))).width == 640


async def test_image_that_takes_too_much_memory_is_stopped_and_the_next_does_not_notice(file_of: FileOf):
    large = encoded(Image.new("RGB", (6000, 6000)), "PNG", compress_level=1)
    async with open_render_pool(OPTIONS, processes=1, queue_limit=1, memory_bytes=64 << 20) as opened:
        with pytest.raises(ImageTooExpensive):
            await opened.render(file_of(large))
        assert (await opened.render(file_of(jpeg()))).width == 640


async def test_image_that_only_waits_is_stopped_by_the_clock(misbehaving: OpenPool, file_of: FileOf):
    async with misbehaving(wall_seconds=1) as opened:
        with pytest.raises(ImageTooExpensive):
            await opened.render(file_of(b"sleep 60"))
        assert (await opened.render(file_of(jpeg()))).width == 640


@pytest.mark.parametrize(
    "told, error",
    [
        (b"raise SIGSEGV", ImageCorrupt),
        (b"raise SIGABRT", ImageCorrupt),
        (b"raise SIGBUS", ImageCorrupt),
        (b"raise SIGKILL", ImageTooExpensive),
        (b"raise SIGXCPU", ImageTooExpensive),
        (b"lie", ImageCorrupt),
        (b"flood", ImageCorrupt),
        (b"bug", RuntimeError),
    ],
)
async def test_however_a_child_ends_the_next_image_is_rendered(
    misbehaving: OpenPool, file_of: FileOf, told: bytes, error: type[Exception]
):
    async with misbehaving() as opened:
        before = process_of(opened)
        with pytest.raises(error):
            await opened.render(file_of(told))
        assert (await opened.render(file_of(jpeg()))).width == 640
        assert process_of(opened) == before


# What a decoder that was taken over can reach


async def test_no_secret_of_the_service_is_in_the_environment(
    misbehaving: OpenPool, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    async with misbehaving() as opened:
        with pytest.raises(FormatUnsupported, match="PATH"):
            await opened.render(file_of(b"environment PATH"))
        with pytest.raises(FormatUnsupported, match=r"^Format not supported$"):
            await opened.render(file_of(b"environment SECRET"))


async def test_no_file_can_be_opened(misbehaving: OpenPool, file_of: FileOf):
    async with misbehaving() as opened:
        with pytest.raises(FormatUnsupported, match="Too many open files"):
            await opened.render(file_of(f"open {__file__}".encode()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can open a file without a name once more")
async def test_the_file_cannot_be_changed(misbehaving: OpenPool, file_of: FileOf):
    file = file_of(b"write changed")
    async with misbehaving() as opened:
        with pytest.raises(FormatUnsupported):
            await opened.render(file)
    file.seek(0)
    assert file.read() == b"write changed"


async def test_what_a_child_forked_ends_with_it(misbehaving: OpenPool, file_of: FileOf, tmp_path: Path):
    removed_by_what_lives_on = tmp_path / "marker"
    removed_by_what_lives_on.touch()
    async with misbehaving(wall_seconds=1) as opened:
        with pytest.raises(ImageTooExpensive):
            await opened.render(file_of(f"fork {removed_by_what_lives_on}".encode()))
        await asyncio.sleep(1.5)
    assert removed_by_what_lives_on.exists()


# The queue


async def test_past_the_queue_limit_it_is_overloaded_at_once(pool: RenderPool, file_of: FileOf):
    slow = [asyncio.create_task(pool.render(file_of(scan_bomb()))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as refused:
        await pool.render(file_of(jpeg()))
    assert refused.value.retry_after
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert (await pool.render(file_of(jpeg()))).width == 640


async def test_first_come_is_first_served(pool: RenderPool, file_of: FileOf):
    order: list[int] = []

    async def one(number: int) -> None:
        await pool.render(file_of(jpeg(40 + number, 30)))
        order.append(number)

    await asyncio.gather(*(one(number) for number in range(3)))
    assert order == [0, 1, 2]


async def test_caller_that_stops_waiting_frees_its_place(pool: RenderPool, file_of: FileOf):
    running, *waiting = (asyncio.create_task(pool.render(file_of(scan_bomb()))) for _ in range(3))
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    late = asyncio.create_task(pool.render(file_of(jpeg())))
    running.cancel()
    waiting[1].cancel()
    async with asyncio.timeout(20):
        assert (await late).width == 640


async def test_caller_that_goes_away_stops_its_image_and_no_answer_is_mixed_up(pool: RenderPool, file_of: FileOf):
    before = process_of(pool)
    for width in range(30, 40):
        task = asyncio.create_task(pool.render(file_of(scan_bomb())))
        await asyncio.sleep(0.005 * (width - 30))
        task.cancel()
        async with asyncio.timeout(20):
            assert (await pool.render(file_of(jpeg(width, 30)))).width == width
    assert process_of(pool) == before


async def test_cancelling_at_any_moment_mixes_up_no_answer(pool: RenderPool, file_of: FileOf):
    for number in range(40):
        task = asyncio.create_task(pool.render(file_of(jpeg(200, 30))))
        await asyncio.sleep(number / 4000)
        task.cancel()
        assert (await pool.render(file_of(jpeg(30 + number, 30)))).width == 30 + number


async def test_file_may_be_closed_once_its_caller_is_gone(pool: RenderPool, file_of: FileOf):
    file = file_of(scan_bomb())
    task = asyncio.create_task(pool.render(file))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    file.close()
    assert (await pool.render(file_of(jpeg()))).width == 640


# Workers come and go


async def test_dead_worker_is_replaced_and_the_next_image_does_not_notice(pool: RenderPool, file_of: FileOf):
    before = process_of(pool)
    os.kill(before, signal.SIGKILL)
    assert (await pool.render(file_of(jpeg()))).width == 640
    assert process_of(pool) != before


async def test_image_whose_worker_dies_is_rendered_by_another(misbehaving: OpenPool, file_of: FileOf, tmp_path: Path):
    marker = tmp_path / "once"
    marker.touch()
    async with misbehaving() as opened:
        before = process_of(opened)
        with pytest.raises(FormatUnsupported):
            await opened.render(file_of(f"kill-template-once {marker}".encode()))
        assert process_of(opened) != before


async def test_image_that_takes_every_worker_down_is_given_up(misbehaving: OpenPool, file_of: FileOf):
    async with misbehaving() as opened:
        with pytest.raises(DependencyUnavailable):
            await opened.render(file_of(b"kill-template"))
        assert (await opened.render(file_of(jpeg()))).width == 640


async def test_worker_that_cannot_start_stops_the_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(render_pool, "_WORKER", "tests.contracts.no_such_module")
    with pytest.raises(RuntimeError, match="did not start"):
        async with open_render_pool(OPTIONS, processes=2, queue_limit=1):
            pass


def is_running(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(process: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{process}/task/{process}/children").read_text().split()]


def memory_of(process: int) -> int:
    return int(Path(f"/proc/{process}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors_of(process: int) -> int:
    return len(list(Path(f"/proc/{process}/fd").iterdir()))


@needs_proc
async def test_neither_children_nor_memory_nor_descriptors_are_left(pool: RenderPool, file_of: FileOf):
    worker, file = process_of(pool), file_of(jpeg(2000, 1500))

    async def left_after(renderings: int) -> tuple[int, int, int]:
        for _ in range(renderings):
            await pool.render(file)
        return memory_of(worker), descriptors_of(worker), descriptors_of(os.getpid())

    memory, *descriptors = await left_after(3)
    memory_later, *descriptors_later = await left_after(10)
    assert children_of(worker) == []
    assert memory_later < memory + (2 << 20)
    assert descriptors_later == descriptors


@needs_proc
async def test_closing_ends_every_worker():
    async with open_render_pool(OPTIONS, processes=2, queue_limit=1) as opened:
        workers = [worker._process.pid for worker in opened._idle if worker]
        assert all(map(is_running, workers))
    assert not any(map(is_running, workers))


@needs_proc
async def test_workers_are_out_of_reach_of_ctrl_c(pool: RenderPool):
    assert os.getpgid(process_of(pool)) != os.getpgid(0)


@needs_proc
async def test_child_ends_by_itself_when_its_worker_is_killed(misbehaving: OpenPool, file_of: FileOf):
    async with misbehaving(wall_seconds=1) as opened:
        worker = process_of(opened)
        task = asyncio.create_task(opened.render(file_of(b"sleep 60")))
        await until(lambda: bool(children_of(worker)))
        (child,) = children_of(worker)
        os.kill(worker, signal.SIGKILL)
        task.cancel()
        await until(lambda: not is_running(child))


SERVICE = """
import asyncio, sys
from app.adapters.render_pool import open_render_pool
from app.core.render_options import RenderOptions

async def main():
    async with open_render_pool(RenderOptions(), processes=2, queue_limit=1, cpu_seconds=100, wall_seconds=100) as pool:
        print(*(worker._process.pid for worker in pool._idle), flush=True)
        with open(sys.argv[1], "rb") as file:
            await pool.render(file)

asyncio.run(main())
"""


@needs_proc
async def test_nothing_outlives_a_service_that_is_killed(tmp_path: Path):
    bomb = tmp_path / "bomb.jpg"
    bomb.write_bytes(scan_bomb())
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, str(bomb), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert service.stdout
    workers = [int(word) for word in (await service.stdout.readline()).split()]
    await until(lambda: any(map(children_of, workers)))
    children = [child for worker in workers for child in children_of(worker)]
    service.kill()
    await service.wait()
    await until(lambda: not any(map(is_running, [*workers, *children])))
    assert len(workers) == 2
    assert children


# The corpus


def rows() -> list[dict[str, str]]:
    if not CORPUS.exists():
        return []
    with (CORPUS / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def named(*folders: str) -> list[Any]:
    found = [row for row in rows() if row["file"].split("/")[0] in folders]
    marks = () if found else pytest.mark.skip(reason="the corpus of test images is not beside this checkout")
    return [pytest.param(row, id=row["file"], marks=marks) for row in found or [{"file": "none"}]]


Verdicts = dict[str, Rendering | AppError]


@pytest.fixture(scope="module")
def verdicts() -> Verdicts:
    """Return what a pool says whose limits are what the corpus allows a file to cost."""
    return asyncio.run(judge_all())


async def judge_all() -> Verdicts:
    async with open_render_pool(
        OPTIONS, processes=2, queue_limit=1000, cpu_seconds=2, memory_bytes=500 << 20
    ) as opened:
        names = [row["file"] for row in rows()]
        return dict(zip(names, await asyncio.gather(*(judge(opened, name) for name in names)), strict=True))


async def judge(opened: RenderPool, name: str) -> Rendering | AppError:
    with (CORPUS / name).open("rb") as file:
        try:
            return await opened.render(file)
        except AppError as error:
            return error


@pytest.mark.parametrize("row", named("bombs", "corrupt", "unsupported"))
def test_bad_file_is_refused_for_what_it_is(verdicts: Verdicts, row: dict[str, str]):
    verdict = verdicts[row["file"]]
    assert isinstance(verdict, AppError)
    assert str(verdict.status) in row["expected_http"]
    assert not isinstance(verdict, ImageTooExpensive)


@pytest.mark.parametrize("row", named("either"))
def test_doubtful_file_gets_some_verdict_at_a_bounded_cost(verdicts: Verdicts, row: dict[str, str]):
    verdict = verdicts[row["file"]]
    assert isinstance(verdict, Rendering) or verdict.status in (415, 422)
    assert isinstance(verdict, ImageTooExpensive) == ("scan_bomb" in row["file"])


@pytest.mark.parametrize("row", named("good"))
def test_good_file_is_rendered_as_it_should_look(verdicts: Verdicts, row: dict[str, str]):
    verdict = verdicts[row["file"]]
    assert isinstance(verdict, Rendering)
    width, height = int(row["upright_width"]), int(row["upright_height"])
    assert (verdict.width, verdict.height) == (width, height)
    for thumbnail in verdict.thumbnails:
        shown = Image.open(io.BytesIO(thumbnail.data))
        scale = min(1, thumbnail.size / max(width, height))
        assert shown.size == (max(1, round(width * scale)), max(1, round(height * scale)))
        assert shown.size == (thumbnail.width, thumbnail.height)
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(shown.info)
        assert not any(word in thumbnail.data for word in forbidden(row))
        assert_mean(shown, row)


def forbidden(row: dict[str, str]) -> list[bytes]:
    always = [b"GPS", b"SECRET", b"PrivCam", b"Jane", b"<script", b"<?php", b"PK\x03\x04"]
    return [*always, *([row["must_not_survive"].encode()] if row["must_not_survive"] else [])]


def assert_mean(shown: Image.Image, row: dict[str, str]) -> None:
    """Compare with the mean of what a plain decoder sees, where colours are not to be changed or hidden."""
    if not row["mean_rgba_256"]:
        return
    *colours, alpha = (float(mean) for mean in row["mean_rgba_256"].split())
    means = ImageStat.Stat(shown.convert("RGBA")).mean
    assert means[3] == pytest.approx(alpha, abs=3)
    assert ("A" in shown.getbands()) == (alpha < 255)
    # The figure of 16-bit grey is that of clipping it to 8 bits: white.
    if alpha == 255 and row["mode"] != "I;16" and (not row["icc"] or "sRGB IEC61966" in row["icc"]):
        assert means[:3] == pytest.approx(colours, abs=6)
