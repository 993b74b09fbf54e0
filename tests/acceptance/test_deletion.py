"""An image deleted during an outage of the store is deleted immediately, and its objects after the outage."""

from __future__ import annotations

import time
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import environment_for, started, upload
from tests.acceptance.worker_process import WORKER, keys, worker
from tests.aws_emulators import AwsEmulator
from tests.fault_proxy import FaultProxy
from tests.pictures import jpeg

SECONDS = 60


@pytest.mark.slow
def test_objects_of_an_image_deleted_while_the_store_was_down_go_within_a_minute(tmp_path: Path, aws: AwsEmulator):
    proxy = FaultProxy(aws.url, seed=7)
    with ExitStack() as stack:
        stack.enter_context(proxy.listening())
        # Clients follow signed URLs to the emulator itself.
        more = {"LOCALSTACK_ENDPOINT_URL": proxy.url, "S3_PRESIGNED_URL_ENDPOINT": aws.url}
        environment = environment_for(tmp_path / "data", aws, SQS_QUEUE_NAME=aws.make_queue(), **more)
        running = stack.enter_context(started(environment, command=("main.py",)))
        worker_environment = {**environment, "DATA_DIR": str(tmp_path / "worker")}
        stack.enter_context(worker(worker_environment, name="worker", command=WORKER))
        headers = running.register()
        client = stack.enter_context(httpx.Client(base_url=running.url, timeout=300))
        views = [upload(client, headers, jpeg(seed=seed)).json() for seed in range(3)]
        prefix = f"images/{client.get('/api/v1/auth/me', headers=headers).json()['id']}/"
        assert len(keys(aws, prefix)) == 15

        proxy.shares = {"store": 1}
        for view in views[:2]:
            assert client.delete(f"/api/v1/images/{view['id']}", headers=headers).status_code == 204
            assert client.get(f"/api/v1/images/{view['id']}", headers=headers).status_code == 404
        assert len(keys(aws, prefix)) == 15

        proxy.shares = {}
        deadline = time.monotonic() + SECONDS
        while len(keys(aws, prefix)) > 5:
            assert time.monotonic() < deadline
            time.sleep(0.5)
        assert {key.split("/")[2] for key in keys(aws, prefix)} == {views[2]["id"]}
