"""Processor time for three thumbnails: this service, Pillow's `Image.thumbnail`, and sharp (`npm ci` in bench/).

- `ours` is the rendering alone, and `pool` the same through the render processes.
- `pillow` decodes the file for each thumbnail.
- `sharp` runs one pipeline per thumbnail, as its documentation does. `sharp 1x` decodes the file once.

Usage: python -m bench.rendering [rounds]
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

from app.imaging.options import RenderOptions
from app.imaging.pool import open_render_pool
from app.imaging.rendering import prepare, render

OPTIONS = RenderOptions()
BENCH = Path(__file__).parent
POOL_BATCH = 5


@dataclass(frozen=True)
class Sample:
    name: str
    path: Path
    output: str
    """The format of the thumbnails."""


def make_photo(width: int, height: int) -> Image.Image:
    """Return gradients with noise like that of a camera. As a JPEG of quality 90 it has about 3 bits per pixel."""
    generator = random.Random(1)
    small = Image.frombytes("RGB", (24, 18), generator.randbytes(24 * 18 * 3))
    noise = Image.effect_noise((width, height), 12)
    return ImageChops.add(small.resize((width, height), Image.Resampling.BICUBIC), noise.convert("RGB"), 1, -128)


def make_samples(folder: Path) -> Iterator[Sample]:
    large, small = make_photo(4000, 3000), make_photo(2048, 1536)
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
    pillow_heif.from_pillow(large).save(folder / "photo.heic", quality=60)
    yield Sample("HEIC, 12 megapixels", folder / "photo.heic", "jpeg")


def render_with_pillow(sample: Sample) -> None:
    for size in OPTIONS.sizes:
        with Image.open(sample.path) as image:
            image.thumbnail((size, size))
            ImageOps.exif_transpose(image).save(io.BytesIO(), sample.output, quality=80)


def render_ours(sample: Sample) -> None:
    with sample.path.open("rb") as file:
        render(file, OPTIONS)


def measure_in_process(render_sample: Callable[[Sample], None], sample: Sample) -> float:
    before = time.process_time()
    render_sample(sample)
    return time.process_time() - before


def measure_pool(sample: Sample) -> float:
    """Return the processor seconds per image of this process and the render processes, without their start."""

    async def run(times: int) -> None:
        async with open_render_pool(OPTIONS, processes=1, queue_limit=1) as pool:
            for _ in range(times):
                with sample.path.open("rb") as file:
                    await pool.render(file)

    def measure(times: int) -> float:
        before = _processor_seconds()
        asyncio.run(run(times))
        return _processor_seconds() - before

    return (measure(POOL_BATCH) - measure(0)) / POOL_BATCH


def _processor_seconds() -> float:
    usages = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in usages)


Sharp = Callable[[Sample, str], float | None]
"""Renders a sample with sharp by one of the methods of sharp.mjs, and returns the processor seconds.

The result is None if sharp cannot read the file.
"""


@contextmanager
def open_sharp() -> Iterator[Sharp]:
    """Start a Node process that renders one sample after the other."""
    command = ["node", "sharp.mjs"]
    with subprocess.Popen(command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own script

        def render_with_sharp(sample: Sample, method: str) -> float | None:
            assert process.stdin is not None
            assert process.stdout is not None
            print(sample.path, sample.output, method, sep="\t", file=process.stdin, flush=True)
            line = process.stdout.readline().strip()
            return int(line) / 1e6 if line.isdigit() else None

        yield render_with_sharp


@contextmanager
def open_without_sharp() -> Iterator[Sharp]:
    print("sharp is not installed, so it is not measured. To install it, run `npm ci` in bench/.")
    yield lambda _sample, _method: None


def measure_all(sample: Sample, rounds: int, sharp: Sharp) -> dict[str, float | None]:
    """Return the median time of each renderer, or None if it cannot read the file."""
    renderers: dict[str, Callable[[], float | None]] = {
        "ours": lambda: measure_in_process(render_ours, sample),
        "pool": lambda: measure_pool(sample),
        "pillow": lambda: measure_in_process(render_with_pillow, sample),
        "sharp": lambda: sharp(sample, "each"),
        "sharp 1x": lambda: sharp(sample, "once"),
    }
    times: dict[str, list[float]] = {name: [] for name in renderers}
    for n in range(rounds + 1):
        for name, measure in renderers.items():
            seconds = measure()
            if n and seconds is not None:  # the first round is a warm-up
                times[name].append(seconds)
    return {name: statistics.median(measured) if measured else None for name, measured in times.items()}


def format_row(name: str, medians: dict[str, float | None]) -> str:
    ours = medians["ours"] or 0
    cells = [f"{seconds * 1000:10.1f}" if seconds else f"{'-':>10}" for seconds in medians.values()]
    ratios = [f"{ours / other:11.2f}" if other else f"{'-':>11}" for other in list(medians.values())[2:]]
    return f"{name:33}" + "".join(cells + ratios)


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 7
    has_sharp = shutil.which("node") is not None and (BENCH / "node_modules").exists()
    prepare()
    pillow_heif.register_heif_opener()
    columns = ("ours", "pool", "pillow", "sharp", "sharp 1x")
    with tempfile.TemporaryDirectory() as folder, open_sharp() if has_sharp else open_without_sharp() as sharp:
        print(
            f"processor milliseconds for {OPTIONS.sizes}, median of {rounds} alternating rounds, {os.cpu_count()} cores"
        )
        print(" " * 33 + "".join(f"{c:>10}" for c in columns) + "".join(f"{'/ ' + c:>11}" for c in columns[2:]))
        for sample in make_samples(Path(folder)):
            print(format_row(sample.name, measure_all(sample, rounds, sharp)), flush=True)
    print("The prebuilt binaries of sharp cannot decode HEIC. AVIF is the most similar format.")


if __name__ == "__main__":
    main()
