"""An upload over HTTP beside its raw parts: put, render, put thumbnails, write record, one after the other."""

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

from app.core.ids import made_at, new_id
from app.core.models import Image, Quota, Rendering, Thumbnail, ThumbnailStatus, original_key
from app.core.ports import ImageTable, ObjectStore, Renderer
from app.settings import Settings
from app.wiring import open_services
from bench.rendering import photo
from tests.acceptance.conftest import environment_for, started
from tests.pictures import encoded
from tests.stand_ins import StandIn, stand_in

ROUNDS = 15


@dataclasses.dataclass
class Parts:
    store: ObjectStore
    images: ImageTable
    renderer: Renderer

    async def keep(self, photo: bytes) -> None:
        """Do what an upload cannot do without, with nothing at the same time."""
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(photo)
            image_id = new_id()
            key = original_key("bench", image_id, "image/jpeg")
            digest = hashlib.sha256(photo).hexdigest()
            await self.store.put_file(key, file, size=len(photo), sha256=digest, content_type="image/jpeg")
            rendering = await self.renderer.render(file)
        image = _record(image_id, len(photo), digest, rendering)
        for thumbnail, rendered in zip(image.thumbnails, rendering.thumbnails, strict=True):
            key = image.thumbnail_key(thumbnail)
            await self.store.put(key, rendered.data, content_type=rendered.content_type)
        await self.images.add(image, quota=Quota())


def _record(image_id: str, size: int, digest: str, rendering: Rendering) -> Image:
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
        sha256=digest,
        width=rendering.width,
        height=rendering.height,
        uploaded_at=made_at(image_id),
        placeholder=rendering.placeholder,
        thumbnails=thumbnails,
    )


async def timed(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


async def compare(url: str, headers: dict[str, str], settings: Settings, photo: bytes) -> tuple[float, float]:
    async with open_services(settings) as services, httpx.AsyncClient(base_url=url, timeout=60) as client:
        uploads = services.uploads
        parts = Parts(uploads._store, uploads._images, uploads._renderer)  # noqa: SLF001 - the very same adapters

        async def upload() -> None:
            files = {"file": ("a.jpg", photo, "image/jpeg")}
            response = await client.post("/api/v1/images/upload", files=files, headers=headers)
            assert response.status_code == 201, response.text

        await upload()
        await parts.keep(photo)
        times = [(await timed(upload), await timed(lambda: parts.keep(photo))) for _ in range(ROUNDS)]
    whole, raw = zip(*times, strict=True)
    return statistics.median(whole), statistics.median(raw)


def run(name: str, aws: StandIn | None, data: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        environment = environment_for(Path(folder) / "service", aws)
        with started(environment) as service:
            given = {**environment_for(Path(folder) / "parts", aws), "RENDER_PROCESSES": "2"}
            settings = Settings(_env_file=None, **{key.lower(): value for key, value in given.items()})  # type: ignore[call-arg, arg-type]
            whole, raw = asyncio.run(compare(service.url, service.register(), settings, data))
    print(
        f"upload of {len(data) / 1e6:.1f} MB, {name}: {whole * 1000:.0f} ms over HTTP,"
        f" {raw * 1000:.0f} ms its raw parts: {whole / raw:.2f} times"
    )


def main() -> None:
    picture = encoded(photo(4032, 3024), "JPEG", quality=85)
    run("embedded", None, picture)
    with stand_in() as aws:
        run(f"aws ({aws.name})", aws, picture)


if __name__ == "__main__":
    main()
