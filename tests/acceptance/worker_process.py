"""Helpers for tests of background jobs: worker processes, asynchronous uploads and waiting for jobs."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
from botocore.session import Session

from tests.acceptance.conftest import ROOT, Deployment, patient
from tests.aws_emulators import AwsEmulator

ASYNC = {"Prefer": "respond-async"}
WORKER = ("-m", "app", "worker")
OBJECTS_PER_IMAGE = 5
"""The original, its sidecar and three thumbnails."""
UNFINISHED = ("queued", "running", "retrying")


@dataclass
class Worker:
    process: subprocess.Popen[bytes]
    log: Path

    def wait_until_logged(self, event: str, *, times: int = 1, seconds: float = 300) -> None:
        deadline = time.monotonic() + seconds
        while self.log.read_text().count(event) < times:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.05)


@contextmanager
def worker(
    environment: Mapping[str, str],
    *,
    name: str,
    command: tuple[str, ...] | None = None,
    root: Path = ROOT,
) -> Iterator[Worker]:
    """Start `python -m app worker`, with longer time limits unless `command` is given; wait until it receives messages.

    In the end the worker is terminated, unless the test has killed it.
    """
    command = command or patient(environment, *WORKER)
    log = Path(environment["DATA_DIR"]).with_name(f"{name}.log")
    with log.open("wb") as output:
        process = subprocess.Popen([sys.executable, *command], cwd=root, env=environment, stderr=output)
    try:
        working = Worker(process, log)
        working.wait_until_logged("worker.started")
        yield working
    finally:
        if process.poll() is None:
            process.terminate()
        try:
            process.wait(40)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@dataclass
class Uploader:
    """Uploads to one service as one user, with a limited number of concurrent requests."""

    client: httpx.AsyncClient
    places: asyncio.Semaphore

    async def post(self, data: bytes) -> str:
        async with self.places:
            files = {"file": ("photo.jpg", data)}
            response = await self.client.post("/api/v1/images/upload", files=files, headers=ASYNC)
        assert response.status_code == 202, response.text
        image_id: str = response.json()["id"]
        return image_id


def pages(service: Deployment, headers: Mapping[str, str], path: str, **query: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with httpx.Client(base_url=service.url, headers=headers, timeout=300) as client:
        parameters: dict[str, str] = {"limit": "100", **query}
        while True:
            response = client.get(f"/api/v1{path}", params=parameters)
            assert response.status_code == 200, response.text
            found += response.json()["items"]
            if response.json()["next_cursor"] is None:
                return found
            parameters["cursor"] = response.json()["next_cursor"]


def unfinished(service: Deployment, headers: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return unfinished jobs, or nothing if all jobs have ended."""
    found = [job for status in UNFINISHED for job in pages(service, headers, "/jobs", status=status)]
    # A job whose status changes between these requests may be in none of them. The list of all jobs contains it.
    return found or [job for job in pages(service, headers, "/jobs") if job["status"] in UNFINISHED]


def wait_until_done(service: Deployment, headers: Mapping[str, str], *, seconds: float = 500) -> list[dict[str, Any]]:
    """Wait until no job is unfinished; return all jobs."""
    deadline = time.monotonic() + seconds
    while left := unfinished(service, headers):
        assert time.monotonic() < deadline, left
        time.sleep(0.5)
    return pages(service, headers, "/jobs")


def client(aws: AwsEmulator, service: str) -> Any:
    return Session().create_client(service, region_name=aws.region, endpoint_url=aws.url)


def keys(aws: AwsEmulator, prefix: str) -> list[str]:
    found = client(aws, "s3").get_paginator("list_objects_v2").paginate(Bucket=aws.bucket, Prefix=prefix)
    return [entry["Key"] for page in found for entry in page.get("Contents", ())]


def hidden(aws: AwsEmulator) -> int:
    """Return the number of invisible messages, which were received and neither acknowledged nor released."""
    sqs = client(aws, "sqs")
    name = "ApproximateNumberOfMessagesNotVisible"
    url = sqs.get_queue_url(QueueName=aws.queue)["QueueUrl"]
    return int(sqs.get_queue_attributes(QueueUrl=url, AttributeNames=[name])["Attributes"][name])


def dead_letters(aws: AwsEmulator) -> list[str]:
    """Remove the messages from the dead-letter queue; return the ids of their jobs."""
    sqs = client(aws, "sqs")
    url = sqs.get_queue_url(QueueName=f"{aws.queue}-dead")["QueueUrl"]
    found: list[str] = []
    while messages := sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10, WaitTimeSeconds=0).get("Messages"):
        for message in messages:
            found.append(json.loads(message["Body"])["job_id"])
            sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found
