"""The time of an upload over HTTP, compared with its steps alone: store, render, store thumbnails, write the record."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import httpx

from app.container.container import open_services
from app.domain.ids import id_timestamp, new_id
from app.domain.images import Image, Quota, Thumbnail, ThumbnailStatus
from app.domain.object_keys import original_key
from app.domain.renderings import Rendering
from app.ports.renderer import Renderer
from app.ports.storage import ObjectStore
from app.ports.tables import ImageTable
from app.settings import Settings
from bench.rendering import make_photo
from tests.acceptance.conftest import environment_for, started
from tests.aws_emulators import AwsEmulator, aws_emulator
from tests.pictures import encoded

ROUNDS = 15


@dataclasses.dataclass
class Adapters:
    store: ObjectStore
    images: ImageTable
    renderer: Renderer

    async def store_image(self, photo: bytes) -> None:
        """Run the steps that every upload needs, one after the other."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(photo)
            image_id = new_id()
            key = original_key("bench", image_id, "image/jpeg")
            sha256 = hashlib.sha256(photo).hexdigest()
            await self.store.put_file(key, file, size=len(photo), sha256=sha256, content_type="image/jpeg")
            rendering = await self.renderer.render(file)
        image = _make_record(image_id, len(photo), sha256, rendering)
        for thumbnail, rendered in zip(image.thumbnails, rendering.thumbnails, strict=True):
            key = image.thumbnail_key(thumbnail)
            await self.store.put(key, rendered.data, content_type=rendered.content_type)
        await self.images.add(image, quota=Quota())


def _make_record(image_id: str, size: int, sha256: str, rendering: Rendering) -> Image:
    thumbnails = tuple(
        Thumbnail(r.size, ThumbnailStatus.READY, r.content_type, r.width, r.height, len(r.data))
        for r in rendering.thumbnails
    )
    return Image(
        id=image_id,
        owner_id="bench",
        filename="a.jpg",
        description=None,
        content_type="image/jpeg",
        size=size,
        sha256=sha256,
        width=rendering.width,
        height=rendering.height,
        uploaded_at=id_timestamp(image_id),
        placeholder=rendering.placeholder,
        thumbnails=thumbnails,
    )


async def measure(function: Callable[[], Awaitable[object]]) -> float:
    """Return the time of a call in milliseconds."""
    started_at = time.perf_counter()
    await function()
    return (time.perf_counter() - started_at) * 1000


async def compare(url: str, headers: dict[str, str], settings: Settings, photo: bytes) -> tuple[float, float]:
    """Return the median times of an upload and of its steps."""
    async with open_services(settings) as services, httpx.AsyncClient(base_url=url, timeout=60) as client:
        uploads = services.uploads
        adapters = Adapters(uploads._store, uploads._images, uploads._renderer)  # noqa: SLF001 - the same adapters

        async def upload() -> None:
            files = {"file": ("a.jpg", photo, "image/jpeg")}
            response = await client.post("/api/v1/images/upload", files=files, headers=headers)
            assert response.status_code == 201, response.text

        async def run_steps() -> None:
            await adapters.store_image(photo)

        await upload()
        await run_steps()
        times = [(await measure(upload), await measure(run_steps)) for _ in range(ROUNDS)]
    upload_times, step_times = zip(*times, strict=True)
    return statistics.median(upload_times), statistics.median(step_times)


def run(name: str, aws: AwsEmulator | None, photo: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_for(Path(folder) / "service", aws)
        with started(environment) as service:
            values = {**environment_for(Path(folder) / "steps", aws), "RENDER_PROCESSES": "2"}
            settings = Settings(_env_file=None, **{key.lower(): value for key, value in values.items()})  # type: ignore[call-arg, arg-type]
            upload_time, step_time = asyncio.run(compare(service.url, service.register(), settings, photo))
    print(
        f"upload of {len(photo) / 1e6:.1f} MB, {name}: {upload_time:.0f} ms over HTTP, {step_time:.0f} ms for its "
        f"steps, factor {upload_time / step_time:.2f}"
    )


def main() -> None:
    photo = encoded(make_photo(4032, 3024), "JPEG", quality=85)
    run("embedded", None, photo)
    with aws_emulator() as aws:
        run(f"aws ({aws.name})", aws, photo)


if __name__ == "__main__":
    main()
