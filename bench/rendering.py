"""Compares the rendering of three thumbnails by this service and by sharp (`npm ci` in bench/).

- `pool` is the production path: the render pool, its worker, and the child process of each image.
- `direct` is the same rendering in one process, without the pool.
- `sharp` decodes the file once and makes all thumbnails from the largest one, as this service does. Its documentation
  decodes the file for each thumbnail, which costs more.

The cost is the processor time (user and system) of the whole process tree, children that have ended included. The
renderers are measured in turn, and each figure is the median of all rounds. `SSIM` is the structural similarity of the
thumbnails to the fully decoded image, reduced in one step with the Lanczos filter: the mean over the sizes, at most 1.

Requires Linux. Usage: python -m bench.rendering [rounds] [words that sample names contain]. Without words, the results
are written to docs/performance.md.
"""

from __future__ import annotations

import asyncio
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
from bench.processes import cpu_seconds
from bench.report import aim, save, table

OPTIONS = RenderOptions()
BENCH = Path(__file__).parent
BATCH = 10
"""Images per measurement. The kernel reports the time of other processes in units of 10 ms."""
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


Renderer = Callable[[Sample], Awaitable[float | None]]
"""Renders a sample once and stores its thumbnails, and returns the processor seconds, or None if it cannot read it."""


def pool_renderer(pool: RenderPool) -> Renderer:
    async def measure(sample: Sample) -> float:
        before = cpu_seconds(os.getpid())
        for _ in range(BATCH):
            with sample.path.open("rb") as file:
                rendering = await pool.render(file)
        seconds = (cpu_seconds(os.getpid()) - before) / BATCH
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


def format_row(sample: Sample, medians: Mapping[str, float | None]) -> list[str]:
    pool, sharp = medians["pool"], medians["sharp"]
    values = [similarity(sample, renderer) for renderer in ("pool", "sharp")]
    return [
        sample.name,
        *(f"{seconds * 1000:.1f}" if seconds else "-" for seconds in medians.values()),
        f"{pool / sharp:.2f}" if pool and sharp else "-",
        *(f"{value:.4f}" if value else "-" for value in values),
    ]


def format_aim(sample: Sample, medians: Mapping[str, float | None]) -> str:
    pool, direct, sharp = (medians[name] for name in ("pool", "direct", "sharp"))
    what = f"{sample.name}, divided by the time of sharp"
    if not pool or not direct or not sharp:
        return f"- Not comparable: {what}. Its prebuilt binaries cannot decode the format."
    reason = f"The process of each image takes {(pool - direct) * 1000:.0f} ms of it."
    return aim(what, value=pool / sharp, limit=1, unit="times", reason=reason)


async def run(rounds: int, words: list[str]) -> str:
    """Return the results as Markdown."""
    has_sharp = shutil.which("node") is not None and (BENCH / "node_modules").exists()
    rows, aims = [], []
    with tempfile.TemporaryDirectory() as folder, open_sharp() if has_sharp else open_without_sharp() as sharp:
        async with open_render_pool(OPTIONS, processes=1, queue_limit=1) as pool:
            renderers = {"pool": pool_renderer(pool), "direct": measure_direct, "sharp": sharp}
            for sample in make_samples(Path(folder)):
                if all(word in sample.name for word in words):
                    medians = await measure_all(sample, rounds, renderers)
                    rows.append(format_row(sample, medians))
                    aims.append(format_aim(sample, medians))
                    print(*rows[-1], sep="\t", flush=True)
    names = ("CPU ms per image", *renderers, "pool / sharp", "SSIM of pool", "SSIM of sharp")
    return "\n".join([table(names, rows), "", *aims])


def main() -> None:
    rounds, *words = sys.argv[1:] or ["7"]
    prepare()
    pillow_heif.register_heif_opener()
    results = asyncio.run(run(int(rounds), words))
    if not words:
        save("rendering", results)


if __name__ == "__main__":
    main()
