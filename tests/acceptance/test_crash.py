"""`kill -9` during many uploads: every upload with a 201 response exists, and nothing else remains."""

from __future__ import annotations

import asyncio
import json
import signal
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import httpx
import pytest

from app.consistency.report import ReconcileReport
from app.container.container import open_container
from app.settings import Settings
from tests.acceptance.conftest import ROOT, Running, environment_for, started
from tests.acceptance.worker_process import keys
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg
from tests.reconcile_helpers import GRACE, make_reconciler

pytestmark = pytest.mark.slow

UPLOADS = 200
AT_ONCE = 24
KILLED_AFTER = 60


async def upload_until_killed(running: Running, headers: dict[str, str]) -> dict[str, bytes]:
    """Upload until the process is killed; return the acknowledged images."""
    kept: dict[str, bytes] = {}
    places = asyncio.Semaphore(AT_ONCE)

    async def upload_one(client: httpx.AsyncClient, number: int) -> None:
        photo = jpeg(320 + number, 240, seed=number)
        async with places:
            try:
                files = {"file": (f"{number}.jpg", photo)}
                response = await client.post("/api/v1/images/upload", files=files, headers=headers)
            except httpx.TransportError:
                return
            if response.status_code == 201:
                kept[response.json()["id"]] = photo
            if len(kept) == KILLED_AFTER:
                running.process.send_signal(signal.SIGKILL)

    async with httpx.AsyncClient(base_url=running.url, timeout=300) as client:
        await asyncio.gather(*(upload_one(client, number) for number in range(UPLOADS)))
    running.process.wait(300)
    return kept


def images_of(running: Running, headers: dict[str, str]) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    cursor: str | None = None
    with httpx.Client(base_url=running.url, headers=headers) as client:
        while True:
            page = client.get("/api/v1/images", params={"limit": 100, **({"cursor": cursor} if cursor else {})}).json()
            found |= {item["id"]: item for item in page["items"]}
            cursor = page["next_cursor"]
            if cursor is None:
                return found


def reconcile(environment: dict[str, str]) -> ReconcileReport:
    command = [sys.executable, "-m", "app", "reconcile"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=True, timeout=300)
    return ReconcileReport(**json.loads(done.stdout.splitlines()[-1]))


async def reconcile_later(environment: dict[str, str]) -> ReconcileReport:
    """Reconcile as the command does a week after it first found a discrepancy."""
    settings = Settings(_env_file=None, **{k.lower(): v for k, v in environment.items()})  # type: ignore[call-arg, arg-type]
    async with open_container(settings, serves=False) as container:
        ports = container.reconciler._ports
        reconciler = make_reconciler(
            store=ports.store,
            images=ports.images,
            owners=ports.owners,
            tombstones=ports.tombstones,
            table=ports.table,
            owner_index=ports.owner_index,
            after=GRACE + timedelta(minutes=1),
        )
        return await reconciler.run(confirm=True)


@pytest.mark.parametrize("backend", ["embedded", "aws"])
def test_acknowledged_uploads_survive_a_crash_and_leftovers_are_deleted(tmp_path: Path, backend: str, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws if backend == "aws" else None)
    with started(environment) as running:
        headers = running.register()
        kept = asyncio.run(upload_until_killed(running, headers))
    assert len(kept) >= KILLED_AFTER
    with started(environment) as running:
        found = images_of(running, headers)
        assert kept.keys() <= found.keys()
        with httpx.Client() as client:
            for image_id, photo in kept.items():
                assert client.get(found[image_id]["original_url"]).content == photo
        first = reconcile(environment)
        assert first.records_removed == first.records_lost == first.thumbnails_failed == 0
        assert first.unreferenced_deleted == 0
        later = asyncio.run(reconcile_later(environment))
        assert (later.unreferenced, later.deletions_withheld) == (0, 0)
        again = reconcile(environment)
        assert again.unreferenced == again.unreferenced_deleted == again.records_lost == 0
        assert images_of(running, headers).keys() == found.keys()
        owner_id = httpx.get(f"{running.url}/api/v1/auth/me", headers=headers).json()["id"]
    if backend == "aws":
        # The emulator is shared: other tests may have left images without thumbnails.
        assert len(keys(aws, f"images/{owner_id}/")) == 5 * len(found)
    else:
        assert again.images == len(found)
        assert again.objects == 5 * len(found)
        left = [path for path in (tmp_path / "data").rglob("*") if path.is_file()]
        assert len([p for p in left if "images" in p.parts]) == again.objects
        names = {p.name for p in left if "objects" not in p.parts}
        assert names <= {"secret", "serving.lock", "service.db", "service.db-wal", "service.db-shm"}
