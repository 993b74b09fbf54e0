"""Compares the rendering of three thumbnails by this service and by sharp (`npm ci` in bench/).

- `pool` is the production path: the render pool, its worker, and the child process of each image.
- `direct` is the same rendering in one process, without the pool.
- `sharp` decodes the file once and makes all thumbnails from the largest one, as this service does. Its documentation
  decodes the file for each thumbnail, which costs more.

The cost is the processor time (user and system) of the whole process tree, children that have ended included. The
renderers are measured in turn, and each figure is the median of all rounds. `SSIM` is the structural similarity of the
thumbnails to the fully decoded image, reduced in one step with the Lanczos filter: the mean over the sizes, at most 1.

Requires Linux. Usage: python -m bench.rendering [rounds] [words that sample names contain]
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import pillow_heif
from PIL import Image, ImageChops, ImageMath, ImageOps

from app.imaging.options import RenderOptions
from app.imaging.pool import RenderPool, open_render_pool
from app.imaging.rendering import prepare, render

OPTIONS = RenderOptions()
BENCH = Path(__file__).parent
BATCH = 10
"""Images per measurement. The kernel reports the time of other processes in units of 10 ms."""
TICK_SECONDS = 1 / os.sysconf("SC_CLK_TCK")
SSIM_BLOCK = 8


@dataclass(frozen=True)
class Sample:
    name: str
    path: Path
    output: str
    """The format of the thumbnails."""

    def thumbnail(self, renderer: str, size: int) -> Path:
        """Return where the thumbnail of a size by a renderer is stored."""
        return self.path.with_name(f"{self.path.name}-{renderer}-{size}")


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
    large.resize((1920, 1440)).save(folder / "hd.jpg", quality=90)
    yield Sample("JPEG, 1920 pixels wide", folder / "hd.jpg", "jpeg")
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


def process_tree_seconds(pid: int) -> float:
    """Return the processor seconds of a process, its running descendants, and those that have ended."""
    seconds = 0.0
    with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # A child may end meanwhile: its parent counts it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        seconds = sum(map(int, fields[11:15])) * TICK_SECONDS  # utime, stime, cutime, cstime
        for task in Path(f"/proc/{pid}/task").iterdir():
            children = (task / "children").read_text().split()
            seconds += sum(process_tree_seconds(int(child)) for child in children)
    return seconds


Renderer = Callable[[Sample], Awaitable[float | None]]
"""Renders a sample once and stores its thumbnails, and returns the processor seconds, or None if it cannot read it."""


def pool_renderer(pool: RenderPool) -> Renderer:
    async def measure(sample: Sample) -> float:
        before = process_tree_seconds(os.getpid())
        for _ in range(BATCH):
            with sample.path.open("rb") as file:
                rendering = await pool.render(file)
        seconds = (process_tree_seconds(os.getpid()) - before) / BATCH
        for thumbnail in rendering.thumbnails:
            sample.thumbnail("pool", thumbnail.size).write_bytes(thumbnail.data)
        return seconds

    return measure


async def measure_direct(sample: Sample) -> float:
    before = time.process_time()
    with sample.path.open("rb") as file:
        render(file, OPTIONS)
    return time.process_time() - before


@contextmanager
def open_sharp() -> Iterator[Renderer]:
    """Start a Node process that renders one sample after the other, and measures its own processor time."""
    command = ["node", "sharp.mjs", *map(str, OPTIONS.sizes)]
    with subprocess.Popen(command, cwd=BENCH, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:  # noqa: S603 - our own script

        async def measure(sample: Sample) -> float | None:
            assert process.stdin is not None
            assert process.stdout is not None
            print(sample.path, sample.output, BATCH, sep="\t", file=process.stdin, flush=True)
            line = process.stdout.readline().strip()
            return int(line) / 1e6 if line.isdigit() else None

        yield measure


@contextmanager
def open_without_sharp() -> Iterator[Renderer]:
    async def measure(_: Sample) -> None:
        pass

    print("sharp is not installed, so it is not measured. To install it, run `npm ci` in bench/.")
    yield measure


async def measure_all(sample: Sample, rounds: int, renderers: Mapping[str, Renderer]) -> dict[str, float | None]:
    """Return the median time of each renderer, or None if it cannot read the file."""
    times: dict[str, list[float]] = {name: [] for name in renderers}
    for n in range(rounds + 1):
        for name, measure in renderers.items():
            seconds = await measure(sample)
            if n and seconds is not None:  # the first round is a warm-up
                times[name].append(seconds)
    return {name: statistics.median(measured) if measured else None for name, measured in times.items()}


def similarity(sample: Sample, renderer: str) -> float | None:
    """Return the mean SSIM of the thumbnails, or None if the renderer made none."""
    if not sample.thumbnail(renderer, OPTIONS.sizes[0]).exists():
        return None
    with Image.open(sample.path) as image:
        full = ImageOps.exif_transpose(image)
    values = []
    for size in OPTIONS.sizes:
        with Image.open(sample.thumbnail(renderer, size)) as thumbnail:
            expected = full.resize(thumbnail.size, Image.Resampling.LANCZOS)
            values.append(ssim(luminance(thumbnail), luminance(expected)))
    return statistics.mean(values)


def luminance(image: Image.Image) -> Image.Image:
    """Return the luminance in floating point, on white."""
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert("RGB").convert("L").convert("F")


def ssim(a: Image.Image, b: Image.Image) -> float:
    """Return the structural similarity, by the formula of Wang et al. (2004) in blocks of 8 x 8 pixels."""
    images = {"a": mean_of_blocks(a), "b": mean_of_blocks(b)}
    images |= {name: mean_of_blocks(product(x, y)) for name, x, y in (("aa", a, a), ("bb", b, b), ("ab", a, b))}
    blocks: Image.Image = ImageMath.lambda_eval(_ssim_of_means, **images)
    return statistics.mean(cast(tuple[float, ...], blocks.get_flattened_data()))


def _ssim_of_means(mean: dict[str, Any]) -> Any:  # noqa: ANN401 - ImageMath has no public type for its operands
    a, b, c1, c2 = mean["a"], mean["b"], (0.01 * 255) ** 2, (0.03 * 255) ** 2
    covariance, variances = mean["ab"] - a * b, mean["aa"] - a * a + mean["bb"] - b * b
    return (2 * a * b + c1) * (2 * covariance + c2) / ((a * a + b * b + c1) * (variances + c2))


def mean_of_blocks(image: Image.Image) -> Image.Image:
    width, height = (side // SSIM_BLOCK * SSIM_BLOCK for side in image.size)
    return image.reduce(SSIM_BLOCK, (0, 0, width, height))


def product(a: Image.Image, b: Image.Image) -> Image.Image:
    multiplied: Image.Image = ImageMath.lambda_eval(lambda images: images["a"] * images["b"], a=a, b=b)
    return multiplied


def format_row(sample: Sample, medians: dict[str, float | None]) -> str:
    cells = [f"{seconds * 1000:9.1f}" if seconds else f"{'-':>9}" for seconds in medians.values()]
    pool, sharp = medians["pool"], medians["sharp"]
    cells.append(f"{pool / sharp:14.2f}" if pool and sharp else f"{'-':>14}")
    for renderer in ("pool", "sharp"):
        value = similarity(sample, renderer)
        cells.append(f"{value:12.4f}" if value else f"{'-':>12}")
    return f"{sample.name:33}" + "".join(cells)


async def run(rounds: int, words: list[str]) -> None:
    has_sharp = shutil.which("node") is not None and (BENCH / "node_modules").exists()
    with tempfile.TemporaryDirectory() as folder, open_sharp() if has_sharp else open_without_sharp() as sharp:
        async with open_render_pool(OPTIONS, processes=1, queue_limit=1) as pool:
            renderers = {"pool": pool_renderer(pool), "direct": measure_direct, "sharp": sharp}
            print(f"processor milliseconds for {OPTIONS.sizes}, median of {rounds} rounds, {os.cpu_count()} cores")
            columns = "".join(f"{name:>9}" for name in renderers)
            print(f"{'':33}{columns}{'pool / sharp':>14}{'SSIM, pool':>12}{'sharp':>12}")
            for sample in make_samples(Path(folder)):
                if all(word in sample.name for word in words):
                    print(format_row(sample, await measure_all(sample, rounds, renderers)), flush=True)
    print("The prebuilt binaries of sharp cannot decode HEIC.")


def main() -> None:
    prepare()
    pillow_heif.register_heif_opener()
    asyncio.run(run(int(sys.argv[1]) if len(sys.argv) > 1 else 7, sys.argv[2:]))


if __name__ == "__main__":
    main()
