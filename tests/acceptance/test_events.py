"""Progress and metrics across processes, over real connections."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import environment_for, started, upload
from tests.acceptance.worker_process import ASYNC, wait_until_done, worker
from tests.aws_emulators import AwsEmulator, free_port
from tests.pictures import jpeg


def events(response: httpx.Response) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in response.iter_lines():
        name, _, value = line.partition(": ")
        if line and name:
            event[name] = value
        elif event:
            yield event
            event = {}


def test_progress_of_a_worker_is_streamed_by_another_process(tmp_path: Path, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws, SQS_QUEUE_NAME=aws.make_queue())
    with started(environment) as running, httpx.Client(base_url=running.url, timeout=300) as client:
        headers = running.register()
        image = upload(client, {**headers, **ASYNC}, jpeg()).json()
        job = client.get("/api/v1/jobs", headers=headers).json()["items"][0]
        assert (job["kind"], job["status"]) == ("render", "queued")
        with (
            client.stream("GET", f"/api/v1/images/{image['id']}/events", headers=headers) as of_image,
            client.stream("GET", f"/api/v1/jobs/{job['job_id']}/events", headers=headers) as of_job,
        ):
            seen = events(of_image)
            first = next(seen)
            assert json.loads(first["data"])["thumbnails"][0]["status"] == "pending"
            # Until here no worker was running. The following events are received as they happen.
            with worker(environment, name="worker"):
                last = list(seen)[-1]
                jobs = [json.loads(event["data"])["status"] for event in events(of_job)]
        assert {thumbnail["status"] for thumbnail in json.loads(last["data"])["thumbnails"]} == {"ready"}
        assert (jobs[0], jobs[-1]) == ("queued", "completed")
        again = client.get(f"/api/v1/images/{image['id']}/events", headers={**headers, "Last-Event-ID": last["id"]})
        assert "data:" not in again.text


def test_shutdown_does_not_wait_for_event_streams(tmp_path: Path, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws, SQS_QUEUE_NAME=aws.make_queue())
    with started(environment) as running, httpx.Client(base_url=running.url, timeout=300) as client:
        headers = running.register()
        image = upload(client, {**headers, **ASYNC}, jpeg()).json()
        with client.stream("GET", f"/api/v1/images/{image['id']}/events", headers=headers) as response:
            seen = events(response)
            next(seen)
            running.process.send_signal(signal.SIGTERM)
            assert list(seen) == []  # the stream ends regularly
        assert running.process.wait(20) == -signal.SIGTERM


@pytest.mark.slow
def test_metrics_of_one_process_include_all_processes(tmp_path: Path, aws: AwsEmulator):
    shared = tmp_path / "metrics"
    shared.mkdir()
    environment = environment_for(
        tmp_path / "data",
        aws,
        SQS_QUEUE_NAME=aws.make_queue(),
        SECRET_KEY="s" * 40,
        PROMETHEUS_MULTIPROC_DIR=str(shared),
        METRICS_PORT=str(free_port()),
    )
    command = ("-m", "uvicorn", "main:app", "--port", environment["PORT"], "--workers", "2")
    with started(environment, command=command) as running:
        headers = running.register()

        def upload_some() -> None:
            with httpx.Client(base_url=running.url, timeout=300) as client:
                for _ in range(5):
                    upload(client, headers, jpeg())
                    upload(client, {**headers, **ASYNC}, jpeg())

        threads = [threading.Thread(target=upload_some) for _ in range(4)]
        with worker(environment, name="worker") as working:
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            jobs = wait_until_done(running, headers)
            assert [job["status"] for job in jobs] == ["completed"] * 20
            processes = {int(found[1]) for path in shared.iterdir() if (found := re.search(r"_(\d+)\.db", path.name))}
            # The worker may also run jobs that other tests have left in the table.
            fewest = rendered(working.log)
            pages = [httpx.get(f"{running.url}/metrics").text for _ in range(8)]
            pages.append(httpx.get(f"http://127.0.0.1:{environment['METRICS_PORT']}/metrics").text)
            most = rendered(working.log)
    # A completion is not counted if its lease ended while it was being recorded.
    assert fewest > 0
    assert len(processes - {os.getpid()}) == 3
    for text in pages:
        assert total(text, "images_total") == 40
        assert total(text, 'http_requests_total{method="POST",route="/images/upload"') == 40
        assert total(text, 'jobs_total{kind="render",outcome="completed"') in range(fewest, most + 1)
        assert total(text, 'render_seconds_count{outcome="rendered"') >= 20 + fewest


def rendered(log: Path) -> int:
    """Return how many render jobs are logged as completed."""
    return sum("job.completed" in line and "kind=render" in line for line in log.read_text().splitlines())


def total(text: str, beginning: str) -> float:
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(beginning))
