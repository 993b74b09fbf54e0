"""Startup, shutdown and startup errors of the service's process."""

from __future__ import annotations

import json
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import ROOT, Running, environment_for, started, upload
from tests.aws_emulators import AwsEmulator
from tests.pictures import jpeg


def test_unauthenticated_upload_is_rejected_within_64_kib(service: Running):
    url = httpx.URL(service.url)
    with socket.create_connection((url.host, url.port or 80), timeout=10) as connection:
        head = (
            "POST /api/v1/images/upload HTTP/1.1\r\nHost: localhost\r\nContent-Length: 52428800\r\n"
            "Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        )
        connection.sendall(head.encode())
        connection.settimeout(0.2)
        sent, answer = 0, b""
        while not answer and sent <= 64 * 1024:
            connection.sendall(bytes(8 * 1024))
            sent += 8 * 1024
            try:
                answer = connection.recv(65536)
            except TimeoutError:
                continue
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"connection: close" in answer.lower()
        assert sent <= 64 * 1024


def test_client_that_offers_http_2_is_served_over_http_1(service: Running):
    headers = {"Connection": "Upgrade, HTTP2-Settings", "Upgrade": "h2c", "HTTP2-Settings": "AAEAAEAAAAIAAAAA"}
    form = {"username": "nobody@example.com", "password": "a wrong passphrase"}
    response = httpx.post(f"{service.url}/api/v1/auth/token", data=form, headers=headers)
    assert response.json()["code"] == "credentials_invalid"


def test_shutdown_waits_for_running_uploads(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    with started(environment) as running:
        headers = running.register()
        photo = jpeg(3000, 2000)

        def body() -> Iterator[bytes]:
            form = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.jpg"\r\n\r\n' + photo
            yield form[:5000]
            wait_for_open_file(running.process.pid, folder="spool")
            running.process.send_signal(signal.SIGTERM)
            time.sleep(1)
            yield form[5000:] + b"\r\n--x--\r\n"

        content_type = {"Content-Type": "multipart/form-data; boundary=x"}
        response = httpx.post(
            f"{running.url}/api/v1/images/upload", content=body(), headers={**headers, **content_type}, timeout=300
        )
        assert response.status_code == 201
        # uvicorn raises the signal again once everything is closed.
        assert running.process.wait(300) == -signal.SIGTERM
        assert "service.stopped" in running.log.read_text()
    with started(environment) as running:
        assert len(httpx.get(f"{running.url}/api/v1/images", headers=headers).json()["items"]) == 1


def wait_for_open_file(pid: int, *, folder: str) -> None:
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for descriptor in Path(f"/proc/{pid}/fd").iterdir():
            with suppress(FileNotFoundError):
                if f"/{folder}/" in str(descriptor.readlink()):
                    return
        time.sleep(0.05)
    raise TimeoutError(folder)


def test_uvicorn_starts_the_same_service_and_logs_no_signed_url(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    with started(environment, command=("-m", "uvicorn", "main:app", "--port", environment["PORT"])) as running:
        headers = running.register()
        with httpx.Client(base_url=running.url) as client:
            view = upload(client, headers, jpeg()).json()
            assert client.get(view["original_url"]).status_code == 200
        running.stop()
    lines = running.log.read_text().splitlines()
    events = [json.loads(line) for line in lines]
    assert {"service.started", "request.completed", "service.stopped"} <= {event["event"] for event in events}
    assert "signature" not in running.log.read_text()
    assert not re.search(r"eyJ[\w-]+\.", running.log.read_text())


def refused(environment: dict[str, str]) -> str:
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode != 0
    assert "Traceback" not in done.stderr
    return done.stderr


def test_failed_start_explains_the_reason_without_a_stack_trace(tmp_path: Path):
    (tmp_path / "file").touch()
    assert "File exists" in refused(environment_for(tmp_path / "file"))
    nobody = {"BACKEND": "aws", "ENVIRONMENT": "development", "LOCALSTACK_ENDPOINT_URL": "http://127.0.0.1:9"}
    assert "no AWS credentials" in refused({**environment_for(tmp_path / "data"), **nobody})
    keys = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test"}
    assert "Could not connect" in refused({**environment_for(tmp_path / "data"), **nobody, **keys})


@pytest.mark.parametrize("service", ["embedded"], indirect=True)
def test_second_process_on_the_same_folder_does_not_start(service: Running):
    assert "Another process is serving" in refused({**service.environment, "PORT": "0"})


@pytest.mark.parametrize(
    "given, reason",
    [
        ({"BACKEND": "aws"}, "SECRET_KEY"),
        ({"BACKEND": "aws", "SECRET_KEY": "s" * 40, "AWS_ACCESS_KEY_ID": "test"}, "AWS_ACCESS_KEY_ID"),
        ({"AUTH": "firebase", "GOOGLE_CLOUD_PROJECT": "p", "FIREBASE_AUTH_EMULATOR_HOST": "x:1"}, "forged"),
        ({"MAX_FILE_SIZE": "much"}, "MAX_FILE_SIZE"),
    ],
)
def test_service_does_not_start_with_unsafe_or_invalid_settings(tmp_path: Path, given: dict[str, str], reason: str):
    said = refused({**environment_for(tmp_path / "data"), **given})
    assert reason in said
    assert "Traceback" not in said


def test_missing_bucket_prevents_the_start_and_names_the_command_to_run(tmp_path: Path, aws: AwsEmulator):
    said = refused(environment_for(tmp_path / "data", aws, S3_BUCKET="no-such-bucket"))
    assert "setup_localstack.sh" in said
    said = refused(environment_for(tmp_path / "data", aws, DYNAMODB_TABLE_NAME="no-such-table"))
    assert "setup_localstack.sh" in said


@pytest.mark.parametrize(
    "headers",
    [
        "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
        "Authorization: Bearer a\r\nAuthorization: Bearer b\r\nContent-Length: 0\r\n",
    ],
)
def test_ambiguous_request_is_rejected(service: Running, headers: str):
    url = httpx.URL(service.url)
    request = f"POST /api/v1/images/delete HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n"
    with socket.create_connection((url.host, url.port or 80), timeout=300) as connection:
        connection.sendall(request.encode() + (b"0\r\n\r\n" if "chunked" in headers else b""))
        response = b""
        while b"}" not in response:
            response += connection.recv(65_536)
        assert response.startswith(b"HTTP/1.1 400 ")
        assert b'"code":"request_malformed"' in response
        if "chunked" in headers:
            assert b"connection: close" in response.lower()


def test_a_full_disk_makes_the_service_not_ready(tmp_path: Path):
    folder = tmp_path / "small"
    folder.mkdir()
    if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=100m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a small file system cannot be mounted: it needs root")
    try:
        with started({**environment_for(folder / "data"), "MAX_FILE_SIZE": "10MiB"}) as running:
            assert httpx.get(f"{running.url}/health/ready").status_code == 200
            (folder / "filler").write_bytes(bytes(40 << 20))
            response = httpx.get(f"{running.url}/health/ready")
            assert (response.status_code, response.json()["detail"]) == (503, "Not usable: disk.")
    finally:
        subprocess.run(["/bin/umount", folder], check=True)


def test_a_damaged_database_prevents_the_start_after_a_kill(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    with started(environment) as running:
        running.register()
        running.stop(signal.SIGKILL)
    database = tmp_path / "data" / "service.db"
    assert database.with_name("service.db-wal").exists()
    with started(environment) as running:  # A killed process alone damages nothing.
        running.register()
    assert not database.with_name("service.db-wal").exists()
    database.write_bytes(database.read_bytes()[:-8192] + b"\xff" * 8192)
    database.with_name("service.db-wal").write_bytes(b"")
    done = subprocess.run(
        [sys.executable, "main.py"], cwd=ROOT, env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 3
    assert "is damaged" in done.stderr
    assert "python -m app restore" in done.stderr


def test_a_second_worker_is_refused_and_the_first_one_continues(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    command = ("-m", "uvicorn", "main:app", "--workers", "2", "--http", "h11", "--port", environment["PORT"])
    with started(environment, command=command) as running:
        deadline = time.monotonic() + 300
        while "service.worker_refused" not in running.log.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.1)
        with httpx.Client(base_url=running.url, timeout=60) as client:
            for _ in range(3):
                assert upload(client, running.register(), jpeg()).status_code == 201
        assert running.stop() == 0
        log = running.log.read_text()
        assert log.count("service.worker_refused") == 1
        assert "start the service without --workers" in log
        assert log.count('"service.started"') == log.count('"service.stopped"') == 1
