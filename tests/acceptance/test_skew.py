"""Machines with wrong clocks delete nothing that was acknowledged, whichever of them runs the reconcile command."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import ROOT, environment_for, started
from tests.acceptance.worker_process import keys, worker
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg

pytestmark = pytest.mark.slow

UPLOADS = 60
AT_ONCE = 12
SKEWS = (250, -250)
"""Seconds. AWS itself refuses requests that are signed five minutes off."""


async def upload_all(url: str, headers: Mapping[str, str], environment: Mapping[str, str]) -> list[httpx.Response]:
    """Upload while machines with wrong clocks run the reconcile command."""
    places = asyncio.Semaphore(AT_ONCE)
    ended = asyncio.Event()

    async def upload_one(client: httpx.AsyncClient, number: int) -> httpx.Response:
        async with places:
            files = {"file": (f"{number}.jpg", jpeg(1600, 1200, seed=number))}
            return await client.post("/api/v1/images/upload", files=files, headers=headers)

    async def reconcile(skew: int) -> int:
        runs = 0
        while not ended.is_set() or not runs:
            command = [sys.executable, "-m", "tests.clock_skew", str(skew), "app", "reconcile"]
            done = await asyncio.to_thread(
                subprocess.run, command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True
            )
            assert json.loads(done.stdout)["unreferenced_deleted"] == 0
            runs += 1
        return runs

    async with httpx.AsyncClient(base_url=url, timeout=300) as client:
        reconciling = [asyncio.create_task(reconcile(skew)) for skew in SKEWS]
        responses = await asyncio.gather(*(upload_one(client, number) for number in range(UPLOADS)))
        ended.set()
        assert all(await asyncio.gather(*reconciling))
    return list(responses)


def test_uploads_in_flight_survive_workers_whose_clocks_are_wrong(tmp_path: Path, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws, SQS_QUEUE_NAME=aws.make_queue())
    with started(environment) as running, ExitStack() as workers:
        headers = running.register()
        for skew in SKEWS:
            own = {**environment, "DATA_DIR": str(tmp_path / f"worker{skew}")}
            command = ("-m", "tests.clock_skew", str(skew), "app", "worker")
            workers.enter_context(worker(own, name=f"worker{skew}", command=command))
        responses = asyncio.run(upload_all(running.url, headers, environment))
        assert [response.status_code for response in responses] == [201] * UPLOADS
        owner_id = httpx.get(f"{running.url}/api/v1/auth/me", headers=headers).json()["id"]
        originals = [key for key in keys(aws, f"images/{owner_id}/") if "/original." in key]
        assert {key.split("/")[2] for key in originals} == {response.json()["id"] for response in responses}


def test_worker_with_a_wrong_clock_processes_jobs_without_delay(tmp_path: Path, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws, SQS_QUEUE_NAME=aws.make_queue())
    with started(environment) as running:
        headers = running.register()
        for skew in (-600, 600):
            own = {**environment, "DATA_DIR": str(tmp_path / f"worker{skew}")}
            command = ("-m", "tests.clock_skew", str(skew), "app", "worker")
            with worker(own, name=f"worker{skew}", command=command):
                files = {"file": ("photo.jpg", jpeg())}
                asynchronously = {**headers, "Prefer": "respond-async"}
                url = f"{running.url}/api/v1/images"
                view = httpx.post(f"{url}/upload", files=files, headers=asynchronously, timeout=300).json()
                with httpx.stream("GET", f"{url}/{view['id']}/events", headers=headers, timeout=300) as events:
                    said = events.read().decode()
                assert '"status":"ready"' in said
                job = httpx.get(f"{running.url}/api/v1/jobs", headers=headers).json()["items"][0]
                assert (job["status"], job["attempts"]) == ("completed", 1)
