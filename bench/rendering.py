"""Processor time of three thumbnails: this service, one `Image.thumbnail` a size, and sharp (`npm ci` in bench/).

`ours` is the rendering alone, `pool` the same through its processes; `sharp` a pipeline a size, as its documentation
has it, `sharp 1x` one decode for all.

python -m bench.rendering [rounds]
"""

from __future__ import annotations

import asyncio
import io
import os
import random
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pillow_heif
from PIL import Image, ImageChops, ImageOps

from app.adapters.render_pool import open_render_pool
from app.core.render_options import RenderOptions
from app.usecases.rendering import prepare, render

OPTIONS = RenderOptions()
BENCH = Path(__file__).parent
HEIC_PHOTO = BENCH.parent.parent / "shared/corpus/good/pillow_heif__arrow.heic"
POOL_BATCH = 5


@dataclass(frozen=True)
class Sample:
    name: str
    path: Path
    output: str
    """What the thumbnails are encoded as."""


def photo(width: int, height: int) -> Image.Image:
    """Return gradients with the grain of a camera on them: about 3 bits a pixel as a JPEG of quality 90."""
    chance = random.Random(1)
    small = Image.frombytes("RGB", (24, 18), chance.randbytes(24 * 18 * 3))
    grain = Image.effect_noise((width, height), 12)
    return ImageChops.add(small.resize((width, height), Image.Resampling.BICUBIC), grain.convert("RGB"), 1, -128)


def samples(folder: Path) -> Iterator[Sample]:
    large, small = photo(4000, 3000), photo(2048, 1536)
    exif = Image.Exif()
    exif[0x0112] = 6
    large.save(folder / "photo.jpg", quality=90, exif=exif)
    yield Sample("JPEG, 12 megapixels", folder / "photo.jpg", "jpeg")
    large.save(folder / "progressive.jpg", quality=90, progressive=True)
    yield Sample("JPEG, 12 megapixels, progressive", folder / "progressive.jpg", "jpeg")
    small.save(folder / "photo.png")
    yield Sample("PNG, 3 megapixels", folder / "photo.png", "jpeg")
    small.putalpha(Image.radial_gradient("L").resize(small.size))
    small.save(folder / "alpha.png")
    yield Sample("PNG, 3 megapixels, transparent", folder / "alpha.png", "webp")
    large.save(folder / "photo.webp", quality=80, method=2)
    yield Sample("WebP, 12 megapixels", folder / "photo.webp", "jpeg")
    large.save(folder / "photo.avif", quality=60, speed=9)
    yield Sample("AVIF, 12 megapixels", folder / "photo.avif", "jpeg")
    if HEIC_PHOTO.exists():
        shutil.copy(HEIC_PHOTO, folder / "photo.heic")
    else:
        pillow_heif.from_pillow(large).save(folder / "photo.heic", quality=60)
    yield Sample("HEIC, 12 megapixels", folder / "photo.heic", "jpeg")


def naive(sample: Sample) -> None:
    for size in OPTIONS.sizes:
        with Image.open(sample.path) as image:
            image.thumbnail((size, size))
            ImageOps.exif_transpose(image).save(io.BytesIO(), sample.output, quality=80)


def ours(sample: Sample) -> None:
    with sample.path.open("rb") as file:
        render(file, OPTIONS)


def in_process(make: Callable[[Sample], None], sample: Sample) -> float:
    before = time.process_time()
    make(sample)
    return time.process_time() - before


def pooled(sample: Sample) -> float:
    """Return processor seconds an image, of this process, the worker and its children; without starting the pool."""

    async def run(times: int) -> None:
        async with open_render_pool(OPTIONS, processes=1, queue_limit=1) as pool:
            for _ in range(times):
                with sample.path.open("rb") as file:
                    await pool.render(file)

    def spent(times: int) -> float:
        before = _processor_seconds()
        asyncio.run(run(times))
        return _processor_seconds() - before

    return (spent(POOL_BATCH) - spent(0)) / POOL_BATCH


def _processor_seconds() -> float:
    used = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in used)


Ask = Callable[[Sample, str], float | None]


@contextmanager
def sharp() -> Iterator[Ask]:
    """Yield what asks a node process that stays; it gives None where sharp cannot read the file."""
    command = ["node", "sharp.mjs"]
    with subprocess.Popen(command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own script

        def ask(sample: Sample, way: str) -> float | None:
            assert process.stdin is not None
            assert process.stdout is not None
            print(sample.path, sample.output, way, sep="\t", file=process.stdin, flush=True)
            answer = process.stdout.readline().strip()
            return int(answer) / 1e6 if answer.isdigit() else None

        yield ask


@contextmanager
def no_sharp() -> Iterator[Ask]:
    print("sharp is not installed (npm ci in bench/): measured without it")
    yield lambda _sample, _way: None


def measure(sample: Sample, rounds: int, ask: Ask) -> dict[str, float | None]:
    ways: dict[str, Callable[[], float | None]] = {
        "ours": lambda: in_process(ours, sample),
        "pool": lambda: pooled(sample),
        "naive": lambda: in_process(naive, sample),
        "sharp": lambda: ask(sample, "each"),
        "sharp 1x": lambda: ask(sample, "once"),
    }
    measured: dict[str, list[float]] = {name: [] for name in ways}
    for turn in range(rounds + 1):
        for name, way in ways.items():
            seconds = way()
            if turn and seconds is not None:  # the first turn is to warm up
                measured[name].append(seconds)
    return {name: statistics.median(times) if times else None for name, times in measured.items()}


def report(name: str, medians: dict[str, float | None]) -> str:
    ours = medians["ours"] or 0
    cells = [f"{seconds * 1000:10.1f}" if seconds else f"{'-':>10}" for seconds in medians.values()]
    ratios = [f"{ours / other:11.2f}" if other else f"{'-':>11}" for other in list(medians.values())[2:]]
    return f"{name:33}" + "".join(cells + ratios)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    has_sharp = shutil.which("node") is not None and (BENCH / "node_modules").exists()
    prepare()
    pillow_heif.register_heif_opener()
    print(f"processor milliseconds for {OPTIONS.sizes}, median of {rounds} interleaved rounds, {os.cpu_count()} cores")
    columns = ("ours", "pool", "naive", "sharp", "sharp 1x")
    print(" " * 33 + "".join(f"{c:>10}" for c in columns) + "".join(f"{'/ ' + c:>11}" for c in columns[2:]))
    with tempfile.TemporaryDirectory() as folder, sharp() if has_sharp else no_sharp() as ask:
        for sample in samples(Path(folder)):
            print(report(sample.name, measure(sample, rounds, ask)), flush=True)
    print("sharp's prebuilt binaries have no HEVC decoder, so that HEIC has no figure there; AVIF is the nearest.")


if __name__ == "__main__":
    main()
