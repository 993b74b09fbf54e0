"""`python -m app rerender`: completes older images after THUMBNAIL_SIZES was changed, or after an upgrade."""

from __future__ import annotations

import asyncio
import sys
import time

import click

from app.container.container import open_container
from app.domain.errors import AppError
from app.settings import Settings
from app.startup import configure


@click.command()
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="Render at most this many images per second.")
def rerender(rate: float | None) -> None:
    """Render the missing sizes of all images, and complete the timeline. The service may be running.

    A run that was interrupted can be repeated: it skips the images that have all sizes.
    """
    failures = asyncio.run(_rerender(configure(), rate=rate))
    if failures:
        sys.exit("\n".join(failures))


async def _rerender(settings: Settings, *, rate: float | None) -> list[str]:
    """Return a line for each image that could not be rendered."""
    async with open_container(settings, serves=False) as container:
        work = container.rerendering
        added, removed = await work.complete_timeline()
        total = sum([1 async for _ in work.images()])
        rendered, failures = 0, list[str]()
        with click.progressbar(length=total, label="Rendering", file=sys.stderr) as bar:
            async for image in work.images():
                if work.lacks_sizes(image):
                    started = time.monotonic()
                    try:
                        await work.render(image)
                        rendered += 1
                    except AppError as error:
                        failures.append(f"{image.id}: {error.detail}")
                    if rate:
                        await asyncio.sleep(1 / rate - (time.monotonic() - started))
                bar.update(1)
    click.echo(f"{total} images: {rendered} rendered, {len(failures)} failed, the others have all sizes.")
    click.echo(f"Timeline: {added} images added, {removed} deleted images removed.")
    return failures
