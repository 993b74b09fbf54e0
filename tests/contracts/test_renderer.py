"""Contract tests of the Renderer port against the process pool: limits, crashes, cancellation and the corpus."""

from __future__ import annotations

import asyncio
import csv
import io
import os
import re
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

from app.domain.errors import (
    AppError,
    DependencyUnavailable,
    FormatUnsupported,
    ImageCorrupt,
    ImageTooExpensive,
    ImageTooLarge,
    Overloaded,
)
from app.domain.renderings import Crop, Output, Rendering, ThumbnailFormat
from app.imaging import worker as render_worker
from app.imaging.options import RenderLimits, RenderOptions
from app.imaging.pool import RenderPool, open_render_pool
from app.imaging.rendering import render
from tests.pictures import encoded, jpeg, picture, transparent_png

ROOT = Path(__file__).parents[2]
CORPUS = ROOT.parent / "shared" / "corpus"
OPTIONS = RenderOptions()

needs_proc = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="inspects processes through /proc")

OpenPool = Callable[..., AbstractAsyncContextManager[RenderPool]]


@pytest.fixture
async def pool() -> AsyncIterator[RenderPool]:
    async with open_render_pool(OPTIONS, processes=1, queue_limit=2, cpu_seconds=100, wall_seconds=100) as opened:
        yield opened


@pytest.fixture
def open_faulty_pool(monkeypatch: pytest.MonkeyPatch) -> OpenPool:
    monkeypatch.setattr(render_worker, "_WORKER_MODULE", "tests.contracts.fault_injection_render_worker")
    return partial(open_render_pool, OPTIONS, processes=1, queue_limit=8)


@pytest.fixture
def file_of() -> Iterator[Callable[[bytes], BinaryIO]]:
    opened: list[BinaryIO] = []

    def create(data: bytes) -> BinaryIO:
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115 - the fixture closes it
        file.write(data)
        opened.append(file)
        return file

    yield create
    for file in opened:
        file.close()


FileOf = Callable[[bytes], BinaryIO]


def scan_bomb(scans: int = 20_000) -> bytes:
    """Return a progressive JPEG that repeats its last scan: a small file that takes long to decode."""
    data = encoded(Image.new("L", (4000, 4000), 90), "JPEG", progressive=True)
    last_scan = data[data.rindex(b"\xff\xda") : -2]
    return data[:-2] + last_scan * scans + data[-2:]


def worker_pid(pool: RenderPool) -> int:
    (worker,) = pool._idle_workers
    assert worker is not None
    return worker._process.pid


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(60):
        while not condition():  # noqa: ASYNC110 - another process cannot set an Event
            await asyncio.sleep(0.01)


# Results and errors


@pytest.mark.parametrize("data", [jpeg(), transparent_png()], ids=["jpeg", "png"])
async def test_pool_returns_the_same_rendering_as_a_direct_call(pool: RenderPool, file_of: FileOf, data: bytes):
    assert await pool.render(file_of(data)) == render(io.BytesIO(data), OPTIONS)


async def test_file_position_is_ignored_and_does_not_change(pool: RenderPool, file_of: FileOf):
    file = file_of(jpeg())
    file.seek(123)
    await pool.render(file)
    assert file.tell() == 123


@pytest.mark.parametrize(
    "data, error, detail",
    [
        (b"%PDF-1.7", FormatUnsupported, "PDF document"),
        (jpeg()[:-500], ImageCorrupt, ImageCorrupt.default_detail),
        (encoded(Image.new("1", (16_385, 1)), "PNG"), ImageTooLarge, "16,385 x 1"),
    ],
)
async def test_error_includes_its_detail(
    pool: RenderPool, file_of: FileOf, data: bytes, error: type[AppError], detail: str
):
    with pytest.raises(error, match=detail):
        await pool.render(file_of(data))


async def test_concurrent_calls_get_their_own_results(file_of: FileOf):
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


async def test_image_that_exceeds_the_cpu_limit_is_stopped_and_the_next_is_rendered(file_of: FileOf):
    async with open_render_pool(OPTIONS, processes=1, queue_limit=1, cpu_seconds=1, wall_seconds=100) as opened:
        with pytest.raises(ImageTooExpensive):
            async with asyncio.timeout(90):
                await opened.render(file_of(scan_bomb()))
        assert (await opened.render(file_of(jpeg()))).width == 640


async def test_image_that_exceeds_the_memory_limit_is_stopped_and_the_next_is_rendered(file_of: FileOf):
    large = encoded(Image.new("RGB", (6000, 6000)), "PNG", compress_level=1)
    async with open_render_pool(OPTIONS, processes=1, queue_limit=1, memory_bytes=64 << 20) as opened:
        with pytest.raises(ImageTooExpensive):
            await opened.render(file_of(large))
        assert (await opened.render(file_of(jpeg()))).width == 640


async def test_image_that_exceeds_the_wall_clock_limit_is_stopped(open_faulty_pool: OpenPool, file_of: FileOf):
    async with open_faulty_pool(wall_seconds=1) as opened:
        with pytest.raises(ImageTooExpensive):
            await opened.render(file_of(b"sleep 60"))
        assert (await opened.render(file_of(jpeg()))).width == 640


@pytest.mark.parametrize(
    "command, error",
    [
        (b"raise SIGSEGV", ImageCorrupt),
        (b"raise SIGABRT", ImageCorrupt),
        (b"raise SIGBUS", ImageCorrupt),
        (b"raise SIGKILL", ImageTooExpensive),
        (b"raise SIGXCPU", ImageTooExpensive),
        (b"invalid-response", ImageCorrupt),
        (b"flood", ImageCorrupt),
        (b"bug", RuntimeError),
    ],
)
async def test_next_image_is_rendered_after_a_child_failure(
    open_faulty_pool: OpenPool, file_of: FileOf, command: bytes, error: type[Exception]
):
    async with open_faulty_pool() as opened:
        before = worker_pid(opened)
        with pytest.raises(error):
            await opened.render(file_of(command))
        assert (await opened.render(file_of(jpeg()))).width == 640
        assert worker_pid(opened) == before


# Isolation of a compromised decoder


async def test_environment_of_a_worker_contains_no_secrets(
    open_faulty_pool: OpenPool, file_of: FileOf, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("SECRET_KEY", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    async with open_faulty_pool() as opened:
        with pytest.raises(FormatUnsupported, match="PATH"):
            await opened.render(file_of(b"environment PATH"))
        with pytest.raises(FormatUnsupported, match=f"^{re.escape(FormatUnsupported.default_detail)}$"):
            await opened.render(file_of(b"environment SECRET"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can reopen an unnamed file")
async def test_child_cannot_change_the_file(open_faulty_pool: OpenPool, file_of: FileOf):
    file = file_of(b"write changed")
    async with open_faulty_pool() as opened:
        with pytest.raises(FormatUnsupported):
            await opened.render(file)
    file.seek(0)
    assert file.read() == b"write changed"


async def test_processes_forked_by_a_child_end_with_it_on_a_kernel_without_seccomp(
    open_faulty_pool: OpenPool, file_of: FileOf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("LANG", "WITHOUT_FILTER")
    async with open_faulty_pool(wall_seconds=5) as opened:
        worker = worker_pid(opened)
        task = asyncio.create_task(opened.render(file_of(b"fork -")))
        await wait_until(lambda: any(map(children_of, children_of(worker))))
        (child,) = children_of(worker)
        (forked,) = children_of(child)
        with pytest.raises(ImageTooExpensive):
            await task
        await wait_until(lambda: not is_running(forked))


# The queue


async def test_full_queue_raises_overloaded_immediately(pool: RenderPool, file_of: FileOf):
    slow = [asyncio.create_task(pool.render(file_of(scan_bomb()))) for _ in range(3)]
    await asyncio.sleep(0)
    with pytest.raises(Overloaded) as raised:
        await pool.render(file_of(jpeg()))
    assert raised.value.retry_after
    for task in slow:
        task.cancel()
    await asyncio.gather(*slow, return_exceptions=True)
    assert (await pool.render(file_of(jpeg()))).width == 640


async def test_images_are_rendered_in_the_order_of_the_calls(pool: RenderPool, file_of: FileOf):
    order: list[int] = []

    async def render_numbered(number: int) -> None:
        await pool.render(file_of(jpeg(40 + number, 30)))
        order.append(number)

    await asyncio.gather(*(render_numbered(number) for number in range(3)))
    assert order == [0, 1, 2]


async def test_canceled_waiting_caller_frees_its_queue_position(pool: RenderPool, file_of: FileOf):
    running, *waiting = (asyncio.create_task(pool.render(file_of(scan_bomb()))) for _ in range(3))
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.gather(waiting[0], return_exceptions=True)
    last = asyncio.create_task(pool.render(file_of(jpeg())))
    running.cancel()
    waiting[1].cancel()
    async with asyncio.timeout(60):
        assert (await last).width == 640


async def test_canceled_rendering_is_stopped_and_the_next_call_gets_its_own_result(pool: RenderPool, file_of: FileOf):
    before = worker_pid(pool)
    for width in range(30, 40):
        task = asyncio.create_task(pool.render(file_of(scan_bomb())))
        await asyncio.sleep(0.005 * (width - 30))
        task.cancel()
        async with asyncio.timeout(60):
            assert (await pool.render(file_of(jpeg(width, 30)))).width == width
    assert worker_pid(pool) == before


async def test_next_call_gets_its_own_result_at_any_time_of_cancellation(pool: RenderPool, file_of: FileOf):
    for number in range(40):
        task = asyncio.create_task(pool.render(file_of(jpeg(200, 30))))
        await asyncio.sleep(number / 4000)
        task.cancel()
        assert (await pool.render(file_of(jpeg(30 + number, 30)))).width == 30 + number


async def test_file_can_be_closed_after_cancellation(pool: RenderPool, file_of: FileOf):
    file = file_of(scan_bomb())
    task = asyncio.create_task(pool.render(file))
    await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    file.close()
    assert (await pool.render(file_of(jpeg()))).width == 640


# Worker lifecycle


async def test_killed_worker_is_replaced_and_the_next_image_is_rendered(pool: RenderPool, file_of: FileOf):
    before = worker_pid(pool)
    os.kill(before, signal.SIGKILL)
    assert (await pool.render(file_of(jpeg()))).width == 640
    assert worker_pid(pool) != before


@needs_proc
async def test_image_is_retried_on_a_new_worker_if_its_worker_is_killed(open_faulty_pool: OpenPool, file_of: FileOf):
    async with open_faulty_pool() as opened:
        before = worker_pid(opened)
        task = asyncio.create_task(opened.render(file_of(b"sleep 2")))
        await wait_until(lambda: bool(children_of(before)))
        os.kill(before, signal.SIGKILL)
        with pytest.raises(FormatUnsupported):
            await task
        assert worker_pid(opened) != before


async def test_image_that_kills_two_workers_is_not_retried_again(open_faulty_pool: OpenPool, file_of: FileOf):
    async with open_faulty_pool() as opened:
        with pytest.raises(DependencyUnavailable):
            await opened.render(file_of(b"kill-worker"))
        assert (await opened.render(file_of(jpeg()))).width == 640


async def test_opening_the_pool_fails_if_a_worker_cannot_start(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(render_worker, "_WORKER_MODULE", "tests.contracts.no_such_module")
    with pytest.raises(RuntimeError, match="did not start"):
        async with open_render_pool(OPTIONS, processes=2, queue_limit=1):
            pass


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def memory_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def descriptors_of(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


@needs_proc
async def test_renderings_leak_no_processes_memory_or_descriptors(pool: RenderPool, file_of: FileOf):
    worker, file = worker_pid(pool), file_of(jpeg(2000, 1500))

    async def usage_after(renderings: int) -> tuple[int, int, int]:
        for _ in range(renderings):
            await pool.render(file)
        return memory_of(worker), descriptors_of(worker), descriptors_of(os.getpid())

    memory, *descriptors = await usage_after(3)
    memory_later, *descriptors_later = await usage_after(10)
    assert children_of(worker) == []
    assert memory_later < memory + (2 << 20)
    assert descriptors_later == descriptors


@needs_proc
async def test_closing_the_pool_ends_every_worker():
    async with open_render_pool(OPTIONS, processes=2, queue_limit=1) as opened:
        workers = [worker._process.pid for worker in opened._idle_workers if worker]
        assert all(map(is_running, workers))
    assert not any(map(is_running, workers))


@needs_proc
async def test_workers_have_their_own_process_group(pool: RenderPool):
    assert os.getpgid(worker_pid(pool)) != os.getpgid(0)


@needs_proc
async def test_child_ends_if_its_worker_is_killed(open_faulty_pool: OpenPool, file_of: FileOf):
    async with open_faulty_pool(wall_seconds=1000) as opened:
        worker = worker_pid(opened)
        task = asyncio.create_task(opened.render(file_of(b"sleep 600")))
        await wait_until(lambda: bool(children_of(worker)))
        (child,) = children_of(worker)
        os.kill(worker, signal.SIGKILL)
        task.cancel()
        await wait_until(lambda: not is_running(child))


SERVICE = """
import asyncio, sys
from app.imaging.pool import open_render_pool
from app.imaging.options import RenderLimits, RenderOptions

async def main():
    async with open_render_pool(RenderOptions(), processes=2, queue_limit=1, cpu_seconds=100, wall_seconds=100) as pool:
        print(*(worker._process.pid for worker in pool._idle_workers), flush=True)
        with open(sys.argv[1], "rb") as file:
            await pool.render(file)

asyncio.run(main())
"""


@needs_proc
async def test_no_process_outlives_a_killed_service(tmp_path: Path):
    bomb = tmp_path / "bomb.jpg"
    bomb.write_bytes(scan_bomb())
    service = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVICE, str(bomb), stdout=asyncio.subprocess.PIPE, cwd=ROOT
    )
    assert service.stdout
    workers = [int(word) for word in (await service.stdout.readline()).split()]
    await wait_until(lambda: any(map(children_of, workers)))
    children = [child for worker in workers for child in children_of(worker)]
    service.kill()
    await service.wait()
    await wait_until(lambda: not any(map(is_running, [*workers, *children])))
    assert len(workers) == 2
    assert children


# The corpus


def rows() -> list[dict[str, str]]:
    if not CORPUS.exists():
        return []
    with (CORPUS / "manifest.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def rows_in(*folders: str) -> list[Any]:
    selected = [row for row in rows() if row["file"].split("/")[0] in folders]
    marks = (
        pytest.mark.slow
        if selected
        else pytest.mark.skip(reason="requires the corpus of test images in ../shared/corpus")
    )
    return [pytest.param(row, id=row["file"], marks=marks) for row in selected or [{"file": "none"}]]


SHOWS_OTHER_COLORS = {
    "good/Pillow__mode_16bit.png",  # The mean is that of the default image, which is not a frame of the animation.
    "good/libavif__colors_hdr_rec2020.avif",  # The mean is that of the HDR samples without tone mapping.
}

Results = dict[str, Rendering | AppError]


@pytest.fixture(scope="module")
def results() -> Results:
    """Render every file with the limits that the corpus specifies."""
    return asyncio.run(render_all())


async def render_all() -> Results:
    async with open_render_pool(
        RenderOptions(limits=RenderLimits(max_pixels=50_000_000)),
        processes=2,
        queue_limit=1000,
        cpu_seconds=2,
        memory_bytes=500 << 20,
    ) as opened:
        names = [row["file"] for row in rows()]
        return dict(zip(names, await asyncio.gather(*(render_file(opened, name) for name in names)), strict=True))


async def render_file(opened: RenderPool, name: str) -> Rendering | AppError:
    with (CORPUS / name).open("rb") as file:
        try:
            return await opened.render(file)
        except AppError as error:
            return error


@pytest.mark.parametrize("row", rows_in("bombs", "corrupt", "unsupported"))
def test_bad_file_is_rejected_with_the_expected_status(results: Results, row: dict[str, str]):
    result = results[row["file"]]
    assert isinstance(result, AppError)
    assert str(result.status) in row["expected_http"]
    assert not isinstance(result, ImageTooExpensive)


@pytest.mark.parametrize("row", rows_in("either"))
def test_ambiguous_file_is_rendered_or_rejected_within_the_limits(results: Results, row: dict[str, str]):
    result = results[row["file"]]
    assert isinstance(result, Rendering) or result.status in (415, 422)
    assert isinstance(result, ImageTooExpensive) == ("scan_bomb" in row["file"])


@pytest.mark.parametrize("row", rows_in("good"))
def test_good_file_is_rendered_correctly(results: Results, row: dict[str, str]):
    result = results[row["file"]]
    assert isinstance(result, Rendering)
    width, height = int(row["upright_width"]), int(row["upright_height"])
    assert (result.width, result.height) == (width, height)
    for thumbnail in result.thumbnails:
        shown = Image.open(io.BytesIO(thumbnail.data))
        scale = min(1, thumbnail.size / max(width, height))
        assert shown.size == (max(1, round(width * scale)), max(1, round(height * scale)))
        assert shown.size == (thumbnail.width, thumbnail.height)
        assert not {"exif", "xmp", "icc_profile", "comment"} & set(shown.info)
        assert not any(word in thumbnail.data for word in forbidden_bytes(row))
        assert_mean(shown, row)


def forbidden_bytes(row: dict[str, str]) -> list[bytes]:
    always = [b"GPS", b"SECRET", b"PrivCam", b"Jane", b"<script", b"<?php", b"PK\x03\x04"]
    return [*always, *([row["must_not_survive"].encode()] if row["must_not_survive"] else [])]


def assert_mean(shown: Image.Image, row: dict[str, str]) -> None:
    """Compare with the mean color of a plain decoder, except where color conversion or transparency changes it."""
    if not row["mean_rgba_256"]:
        return
    *colors, alpha = (float(mean) for mean in row["mean_rgba_256"].split())
    means = ImageStat.Stat(shown.convert("RGBA")).mean
    assert means[3] == pytest.approx(alpha, abs=3)
    assert ("A" in shown.getbands()) == (alpha < 255)
    # The mean in the manifest for 16-bit grayscale was computed after clipping to 8 bits, which makes it white.
    if row["file"] in SHOWS_OTHER_COLORS:
        return
    if alpha == 255 and row["mode"] != "I;16" and (not row["icc"] or "sRGB IEC61966" in row["icc"]):
        assert means[:3] == pytest.approx(colors, abs=6)


@pytest.mark.parametrize("format_name", ["avif", "webp", "jpeg"])
async def test_pool_renders_one_output_instead_of_the_thumbnails(
    pool: RenderPool, file_of: FileOf, format_name: ThumbnailFormat
):
    file = file_of(encoded(picture(3000, 2000), "PNG"))
    rendering = await pool.render(file, output=Output(2560, format_name))
    (rendered,) = rendering.thumbnails
    assert (rendered.width, rendered.height, rendered.content_type) == (2560, 1707, f"image/{format_name}")
    rendering = await pool.render(file, output=Output(300, format_name, crop=Crop(100, 200, x=0, y=100)))
    (cropped,) = rendering.thumbnails
    assert (cropped.width, cropped.height) == (100, 200)
    # The next rendering has the options of the pool again.
    assert [t.size for t in (await pool.render(file)).thumbnails] == list(OPTIONS.sizes)


async def test_output_is_rendered_from_a_format_that_uploads_may_not_have(file_of: FileOf):
    options = RenderOptions(allowed_content_types=frozenset({"image/png"}))
    async with open_render_pool(options, processes=1, queue_limit=2, cpu_seconds=100, wall_seconds=100) as pool:
        file = file_of(jpeg())
        with pytest.raises(FormatUnsupported):
            await pool.render(file)
        assert len((await pool.render(file, output=Output(64, "webp"))).thumbnails) == 1
