"""`python -m app doctor` names each of the faults that installations have, and what to do."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import time_machine
from botocore.session import Session

from app.doctor.finding import Verdict
from app.doctor.firebase import check_firebase, check_firebase_emulator
from tests.acceptance.conftest import ROOT, environment_for, run_command, started
from tests.aws_emulators import AwsEmulator, free_port

ORIGIN = "https://app.example.com"
PUBLIC_HOST = "photos.example.com"


def doctor(environment: Mapping[str, str], *, skew: int = 0) -> tuple[int, dict[str, str]]:
    """Return the exit status, and the line of each check. A check that failed several times has the last line."""
    with time_machine.travel(time.time() + skew, tick=True) if skew else nullcontext():
        done = run_command(environment, "doctor")
    assert "Traceback" not in done.output, done.output
    lines = [line.split(maxsplit=1) for line in done.stdout.splitlines()]
    return done.exit_code, {text.partition(":")[0]: f"{verdict} {text}" for verdict, text in lines}


def assert_failed(environment: Mapping[str, str], check: str, *parts: str, skew: int = 0) -> None:
    status, lines = doctor(environment, skew=skew)
    assert status == 1
    assert lines[check].startswith("FAILED "), lines
    for part in parts:
        assert part in lines[check], lines[check]


@contextmanager
def http_server(respond: Any) -> Iterator[str]:
    """Serve on a free port. `respond` gets the handler of each request."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            respond(self)

        def do_OPTIONS(self) -> None:
            respond(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def send(handler: BaseHTTPRequestHandler, status: int, headers: Mapping[str, str], body: bytes) -> None:
    handler.send_response(status)
    for name, value in {**headers, "Content-Length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(body)


@contextmanager
def proxy_to(port: str, headers: Mapping[str, str]) -> Iterator[str]:
    """Run a reverse proxy that adds these headers to each request."""

    def forward(handler: BaseHTTPRequestHandler) -> None:
        url = f"http://127.0.0.1:{port}{handler.path}"
        kept = {n: v for n, v in handler.headers.items() if n.lower() != "connection"}
        response = httpx.request(handler.command, url, headers={**kept, **headers})
        returned = {n: v for n, v in response.headers.items() if n not in ("content-length", "connection")}
        send(handler, response.status_code, returned, response.content)

    with http_server(forward) as url:
        yield url


def test_a_sound_installation_passes_and_settings_are_checked(tmp_path: Path):
    environment = environment_for(tmp_path / "data")
    status, lines = doctor(environment)
    assert status == 0
    assert lines["service"].startswith("skipped ")
    with started({**environment, "CORS_ORIGINS": ORIGIN}):
        status, lines = doctor({**environment, "CORS_ORIGINS": ORIGIN})
        assert (status, {line.split()[0] for line in lines.values()}) == (0, {"ok"})
        assert set(lines) == {"settings", "disk", "clock", "service", "proxy", "host", "CORS"}
        assert_failed({**environment, "CORS_ORIGINS": "https://other.example"}, "CORS", "https://other.example")
    done = subprocess.run(
        [sys.executable, "-m", "app", "doctor"],
        cwd=ROOT,
        env={**environment, "PORT": "x"},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (done.returncode, "PORT" in done.stderr) == (1, True)


def test_a_misspelled_setting_is_found(tmp_path: Path):
    status, _ = doctor({**environment_for(tmp_path / "data"), "MAX_FILESIZE": "1MB"})
    assert status == 1


@pytest.mark.parametrize("skew", [300, -300])
def test_a_wrong_clock_is_found(tmp_path: Path, aws: AwsEmulator, skew: int):
    direction = "ahead of" if skew > 0 else "behind"
    assert_failed(environment_for(tmp_path / "data"), "clock", direction, "file system", skew=skew)
    assert_failed(environment_for(tmp_path / "data", aws), "clock", direction, "Synchronize", skew=skew)


def test_a_full_disk_is_found(tmp_path: Path):
    folder = tmp_path / "full"
    folder.mkdir()
    if subprocess.run(["/bin/mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", folder], check=False).returncode:
        pytest.skip("a small file system cannot be mounted: it needs root")
    try:
        assert_failed(environment_for(folder / "data", HOST="127.0.0.1"), "disk", "at least 500 MiB needed", "larger")
        assert_failed(environment_for(Path("/proc/data")), "disk", "DATA_DIR (/proc/data)")
    finally:
        subprocess.run(["/bin/umount", folder], check=True)


def test_the_resources_of_aws_are_checked(tmp_path: Path, aws: AwsEmulator):
    environment = environment_for(tmp_path / "data", aws)
    status, lines = doctor(environment)
    assert status == 0
    assert "not AWS" in lines["s3 endpoint"]
    assert_failed({**environment, "S3_BUCKET": "no-such-bucket"}, "bucket", "no-such-bucket", "infra/deploy.py")
    assert_failed({**environment, "DYNAMODB_TABLE_NAME": "none"}, "table", "'none'", "infra/deploy.py")
    assert_failed({**environment, "SQS_QUEUE_NAME": "none"}, "queue", "'none'", "infra/deploy.py")
    s3: Any = Session().create_client("s3", region_name="us-west-2", endpoint_url=aws.url)
    s3.create_bucket(Bucket="far-away", CreateBucketConfiguration={"LocationConstraint": "us-west-2"})
    assert_failed({**environment, "S3_BUCKET": "far-away"}, "bucket", "Set S3_REGION=us-west-2")
    unreachable = f"http://127.0.0.1:{free_port()}"
    assert_failed({**environment, "LOCALSTACK_ENDPOINT_URL": unreachable}, "queue", "cannot be checked")
    del environment["AWS_ACCESS_KEY_ID"], environment["AWS_SECRET_ACCESS_KEY"]
    without_keys = {**environment, "AWS_EC2_METADATA_DISABLED": "true", "HOME": str(tmp_path)}
    assert_failed(without_keys, "AWS", "There are no AWS credentials")


def test_a_public_url_that_does_not_lead_to_the_service_is_found(tmp_path: Path):
    environment = environment_for(tmp_path / "data", REGISTRATION="open")
    assert_failed({**environment, "PUBLIC_URL": f"http://127.0.0.1:{free_port()}"}, "public URL", "does not respond")
    with http_server(lambda handler: send(handler, 200, {}, b"It works!")) as url:
        assert_failed({**environment, "PUBLIC_URL": url}, "public URL", "not from this service")
    with http_server(lambda handler: send(handler, 301, {"Location": "https://x.example/"}, b"")) as url:
        assert_failed({**environment, "PUBLIC_URL": url}, "public URL", "redirects to https://x.example/")


def test_the_headers_of_the_proxy_are_checked(tmp_path: Path):
    environment = environment_for(tmp_path / "data", REGISTRATION="open")
    port, headers = environment["PORT"], {"X-Forwarded-For": "203.0.113.7", "Host": PUBLIC_HOST}
    with proxy_to(port, headers) as url, started(environment):
        assert_failed({**environment, "PUBLIC_URL": url}, "host", "refuses the host", "PUBLIC_URL")
    with proxy_to(port, headers) as url:
        known = {**environment, "PUBLIC_URL": url}
        with started(known):
            status, lines = doctor(known)
            assert (status, lines["proxy"].split()[0]) == (0, "ok")
        with started({**known, "FORWARDED_ALLOW_IPS": "192.0.2.1"}):
            assert_failed(known, "proxy", "FORWARDED_ALLOW_IPS")
        with started({**known, "PUBLIC_URL": "https://old.example.com"}):
            assert_failed(known, "host", "another PUBLIC_URL", "https://old.example.com")


async def test_firebase_is_checked():
    def respond(handler: BaseHTTPRequestHandler) -> None:
        path, _, query = handler.path.partition("?")
        if path == "/v1/projects" and query != "key=good":
            send(handler, 400, {}, b'{"error": {"message": "API key not valid."}}')
        elif path in ("/certificates", "/v1/projects", "/emulator/v1/projects/mine/config"):
            send(handler, 200, {}, json.dumps({"authorizedDomains": ["localhost", "mine.firebaseapp.com"]}).encode())
        else:
            send(handler, 404, {}, b"")

    with http_server(respond) as url:
        async with httpx.AsyncClient() as client:

            async def check(project_id: str, api_key: str, certificates: str = "/certificates") -> list[str]:
                findings = check_firebase(
                    client,
                    project_id=project_id,
                    api_key=api_key,
                    certificates_url=url + certificates,
                    identity_url=url,
                )
                return [str(finding) async for finding in findings]

            assert [line.split()[0] for line in await check("mine", "good")] == ["ok", "ok"]
            assert "FAILED   Firebase project: FIREBASE_API_KEY belongs to another" in (await check("yours", "good"))[1]
            assert "Google refuses FIREBASE_API_KEY" in (await check("mine", "bad"))[1]
            assert "Allow outgoing HTTPS" in (await check("mine", "good", "/nowhere"))[0]
            host = url.removeprefix("http://")
            assert (await check_firebase_emulator(client, host=host, project_id="mine")).verdict is Verdict.OK
            gone = await check_firebase_emulator(client, host=f"127.0.0.1:{free_port()}", project_id="mine")
            assert gone.verdict is Verdict.FAILED
