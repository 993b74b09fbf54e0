"""Real tus clients upload a large file while connections are cut and the service is killed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from tests.acceptance.conftest import Running, environment_for, started
from tests.aws_emulators import AwsEmulator, aws_emulator
from tests.pictures import jpeg
from tests.resumable.interrupting_proxy import interrupting

FOLDER = Path(__file__).parent
SIZE = 200 * 1000 * 1000
CUT_AT, KILLED_AT = range(9_000_000, 190_000_000, 20_000_000), (60_000_000, 140_000_000)
MEMORY_MARGIN = 32 * 1024 * 1024
SECONDS = 1500
SETTINGS = {
    "ENVIRONMENT": "development",
    "CORS_ORIGINS": "*",
    "MAX_DIRECT_FILE_SIZE": "250MB",
    "SECRET_KEY": "s" * 40,
}
pytestmark = [pytest.mark.slow, pytest.mark.timeout(2 * SECONDS)]


@pytest.fixture(scope="module")
def aws() -> Iterator[AwsEmulator]:
    with aws_emulator() as opened:
        yield opened


@pytest.fixture(params=["embedded", "aws"])
def environment(request: pytest.FixtureRequest, tmp_path: Path) -> dict[str, str]:
    aws: AwsEmulator | None = request.getfixturevalue("aws") if request.param == "aws" else None
    return environment_for(tmp_path / "data", aws, **SETTINGS)


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    picture = jpeg(1200, 900)
    path = tmp_path / "photo.jpg"
    path.write_bytes(picture + hashlib.shake_256(b"noise").digest(SIZE - len(picture)))
    return path


class RestartedService:
    """A service that is killed and started again. With `BACKEND=aws`, each process has an empty DATA_DIR."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._processes = ExitStack()
        self._starts = 0
        self.running = self._start()

    def kill_and_start(self) -> None:
        self.running.process.kill()
        self.running.process.wait(60)
        self.running = self._start()

    def close(self) -> None:
        self._processes.close()

    def _start(self) -> Running:
        self._starts += 1
        environment = self._environment
        if environment.get("BACKEND") == "aws":
            environment = {**environment, "DATA_DIR": f"{environment['DATA_DIR']}-{self._starts}"}
        return self._processes.enter_context(started(environment))


@pytest.fixture
def service(environment: dict[str, str]) -> Iterator[RestartedService]:
    restarted = RestartedService(environment)
    yield restarted
    restarted.close()


needs_node = pytest.mark.skipif(not (FOLDER / "node_modules").exists(), reason="requires Node: run `make test-uploads`")


@pytest.mark.parametrize(
    "client",
    [
        pytest.param([sys.executable, "upload.py"], id="tuspy"),
        pytest.param(["node", "upload.mjs"], id="tus-js-client", marks=needs_node),
        pytest.param(["node", "uppy.mjs"], id="Uppy", marks=needs_node),
    ],
)
def test_one_image_although_connections_are_cut_and_two_processes_killed(
    service: RestartedService, photo: Path, client: list[str]
):
    headers = service.running.register()
    port = int(service.running.environment["PORT"])
    cuts = [(after, lambda: None) for after in CUT_AT]
    interruptions = sorted([*cuts, *((after, service.kill_and_start) for after in KILLED_AT)], key=lambda due: due[0])
    with interrupting(port, interruptions) as url:
        command = [*client, f"{url}/api/v1/images/tus", headers["Authorization"], str(photo)]
        done = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, timeout=SECONDS, check=False)
        assert done.returncode == 0, done.stderr
    with httpx.Client(base_url=service.running.url, headers=headers, timeout=60) as http:
        (image,) = http.get("/api/v1/images").json()["items"]
        assert (image["size"], image["filename"]) == (SIZE, "holiday ☀.jpg")
        assert http.get("/api/v1/auth/me").json()["usage"]["reserved_bytes"] == 0
        content = httpx.get(image["original_url"], timeout=60).content
    assert content == photo.read_bytes()


def peak(running: Running) -> int:
    """Return the most resident bytes that the service's own process has had."""
    lines = Path(f"/proc/{running.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux reports the peak of a process")
def test_a_large_file_does_not_pass_through_memory(service: RestartedService, photo: Path):
    running = service.running
    headers = {**running.register(), "Tus-Resumable": "1.0.0"}
    stream = {"Content-Type": "application/offset+octet-stream"}
    with httpx.Client(base_url=running.url, headers=headers, timeout=SECONDS) as client:
        small = jpeg()
        created = client.post("/api/v1/images/tus", headers={**stream, "Upload-Length": str(len(small))}, content=small)
        assert created.status_code == 201, created.text
        idle = peak(running)
        upload = client.post("/api/v1/images/tus", headers={"Upload-Length": str(SIZE)}).headers["Location"]
        with photo.open("rb") as file:
            sent = client.patch(upload, headers={**stream, "Upload-Offset": "0"}, content=file)
        assert sent.status_code == 204, sent.text
    assert peak(running) < idle + MEMORY_MARGIN
