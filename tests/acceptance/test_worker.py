"""Every job completes exactly once, even if workers are killed or stopped."""

from __future__ import annotations

import asyncio
import dataclasses
import signal
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.acceptance.conftest import Running, descendants, environment_for, started
from tests.acceptance.worker_process import (
    OBJECTS_PER_IMAGE,
    Uploader,
    Worker,
    dead_letters,
    hidden,
    keys,
    pages,
    unfinished,
    wait_until_done,
    worker,
)
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg

UPLOADS = 300
AT_ONCE = 16
KILLS = 4
LIVES_SECONDS = 3
# The header is valid, but the pixels are missing.
CUT_SHORT = jpeg(1200, 900)[:-20_000]


def photos(count: int) -> list[bytes]:
    return [jpeg(320 + number % 64, 240, seed=number) for number in range(count)]


async def upload_all(running: Running, headers: Mapping[str, str], photos: list[bytes]) -> dict[str, bytes]:
    """Return the accepted images. A service that is killed in the meantime accepts no more."""
    async with httpx.AsyncClient(base_url=running.url, headers=headers, timeout=300) as connections:
        uploader = Uploader(connections, asyncio.Semaphore(AT_ONCE))
        ids = await asyncio.gather(*map(uploader.post, photos), return_exceptions=True)
    faults = [found for found in ids if isinstance(found, BaseException)]
    assert all(isinstance(fault, httpx.TransportError) for fault in faults), faults
    return {found: photo for found, photo in zip(ids, photos, strict=True) if isinstance(found, str)}


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def kill(working: Worker) -> None:
    below = descendants(working.process.pid)
    working.process.kill()
    working.process.wait()
    deadline = time.monotonic() + 300
    while any(map(is_alive, below)):
        assert time.monotonic() < deadline, "what rendered for it goes on"
        time.sleep(0.05)


async def check_images(running: Running, headers: Mapping[str, str], expected: Mapping[str, bytes]) -> None:
    """Check that each image is listed once, and that all its objects exist and can be decoded."""
    images = await asyncio.to_thread(pages, running, headers, "/images")
    assert Counter(image["id"] for image in images) == Counter(list(expected))
    places = asyncio.Semaphore(AT_ONCE)
    async with httpx.AsyncClient(timeout=300) as opener:

        async def check(image: dict[str, Any]) -> None:
            async with places:
                assert (await opener.get(image["original_url"])).content == expected[image["id"]]
                for thumbnail in image["thumbnails"]:
                    assert thumbnail["status"] == "ready"
                    assert len((await opener.get(thumbnail["url"])).content) == thumbnail["bytes"]

        await asyncio.gather(*map(check, images))


def me(running: Running, headers: Mapping[str, str]) -> dict[str, Any]:
    found: dict[str, Any] = httpx.get(f"{running.url}/api/v1/auth/me", headers=headers, timeout=300).json()
    return found


@pytest.mark.slow
def test_jobs_of_killed_workers_complete_once(tmp_path: Path, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws)
    dead_letters(aws)
    with started(environment) as running:
        headers, stranger = running.register(), running.register()

        async def upload_while_workers_die() -> tuple[dict[str, bytes], dict[str, bytes]]:
            uploads = asyncio.create_task(upload_all(running, headers, photos(UPLOADS)))
            poison = await upload_all(running, stranger, [CUT_SHORT])
            await asyncio.to_thread(kill_workers)
            return await uploads, poison

        def kill_workers() -> None:
            for number in range(KILLS):
                with worker(environment, name=f"killed-{number}") as working:
                    time.sleep(LIVES_SECONDS)
                    kill(working)

        accepted, poison = asyncio.run(upload_while_workers_die())
        assert len(accepted) == UPLOADS
        with worker(environment, name="last"):
            jobs = wait_until_done(running, headers)
            (failed,) = wait_until_done(running, stranger)
            assert Counter((job["kind"], job["status"]) for job in jobs) == {("render", "completed"): UPLOADS}
            assert Counter(job["result"]["image_id"] for job in jobs) == Counter(list(accepted))
            asyncio.run(check_images(running, headers, accepted))
            owner = me(running, headers)
            assert owner["usage"]["images"] == UPLOADS
            assert owner["usage"]["bytes"] == sum(map(len, accepted.values()))
            there = Counter(key.split("/")[2] for key in keys(aws, f"images/{owner['id']}/"))
            assert there == Counter(dict.fromkeys(accepted, OBJECTS_PER_IMAGE))

            (image,) = pages(running, stranger, "/images")
            assert image["id"] in poison
            assert {thumbnail["status"] for thumbnail in image["thumbnails"]} == {"failed"}
            assert (failed["status"], failed["error"]["code"]) == ("failed", "image_corrupt")
            assert wait_for_dead_letters(aws) == [failed["job_id"]]


def wait_for_dead_letters(aws: AwsEmulator) -> list[str]:
    deadline = time.monotonic() + 300
    while not (found := dead_letters(aws)):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    return found


@pytest.mark.slow
def test_stopped_worker_leaves_its_jobs_to_the_next_worker(tmp_path: Path, aws: AwsEmulator):
    # The test has its own queue, because workers that were killed may have left invisible messages in the shared one.
    aws = dataclasses.replace(aws, queue=aws.make_queue())
    environment = environment_for(tmp_path / "data", aws, SQS_QUEUE_NAME=aws.queue)
    with started(environment) as running:
        headers = running.register()
        accepted = asyncio.run(upload_all(running, headers, photos(60)))
        with worker(environment, name="first") as first:
            first.wait_until_logged("job.completed", times=5)
            first.process.send_signal(signal.SIGTERM)
            assert first.process.wait(300) == 0
        left = unfinished(running, headers)
        assert left
        assert {(job["status"], job["attempts"]) for job in left} == {("queued", 0)}
        assert hidden(aws) == 0
        with worker(environment, name="second"):
            jobs = wait_until_done(running, headers)
        assert {(job["status"], job["attempts"]) for job in jobs} == {("completed", 1)}
        asyncio.run(check_images(running, headers, accepted))


@pytest.mark.slow
def test_killed_service_completes_its_jobs_after_a_restart(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    large = [jpeg(2000, 1500, seed=seed) for seed in range(4)] * 25
    with started(environment) as running:
        headers = running.register()

        def kill_in_the_middle() -> None:
            while running.log.read_text().count("image.accepted") < 50:
                time.sleep(0.02)
            running.process.kill()

        async def upload_until_killed() -> dict[str, bytes]:
            uploads = asyncio.create_task(upload_all(running, headers, large))
            await asyncio.to_thread(kill_in_the_middle)
            return await uploads

        accepted = asyncio.run(upload_until_killed())
        running.process.wait()
    with started(environment) as running:
        assert {"queued", "running"} <= {job["status"] for job in unfinished(running, headers)}
        wait_until_done(running, headers)
        images = {image["id"]: image for image in pages(running, headers, "/images")}
        # Images whose response was lost may also exist. They are complete.
        assert accepted.keys() <= images.keys()
        assert {t["status"] for image in images.values() for t in image["thumbnails"]} == {"ready"}
        with httpx.Client() as opener:
            for image_id, photo in accepted.items():
                assert opener.get(images[image_id]["original_url"]).content == photo
        assert me(running, headers)["usage"]["images"] == len(images)
