"""How often an upload waits for the disk on the embedded backend: calls of fsync and fdatasync, counted with strace."""

from __future__ import annotations

import signal
import subprocess
import tempfile
import time
from pathlib import Path

import httpx

from bench.report import aim, save, table
from tests.acceptance.conftest import Running, environment_for, started, upload
from tests.pictures import jpeg

UPLOADS = 20
REASON = "Five files, their three folders, and two transactions: the record and the entry of the audit log."
_ATTACH_SECONDS = 300


def count_calls(service: Running, trace: Path) -> int:
    """Upload images while strace is attached, and return the number of calls."""
    command = ["strace", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", str(trace), "-p", str(service.process.pid)]
    headers = service.register()
    with httpx.Client(base_url=service.url, timeout=60) as client:
        assert upload(client, headers, jpeg(1200, 900)).status_code == 201
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as strace:  # noqa: S603 - our own command
            wait_until_traced(service.process.pid)
            for seed in range(UPLOADS):
                assert upload(client, headers, jpeg(1200, 900, seed=seed)).status_code == 201
            strace.send_signal(signal.SIGINT)
    return sum("sync(" in line for line in trace.read_text().splitlines())


def wait_until_traced(pid: int) -> None:
    deadline = time.monotonic() + _ATTACH_SECONDS
    while time.monotonic() < deadline:
        statuses = [(task / "status").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
        if not any("TracerPid:\t0\n" in status for status in statuses):
            return
        time.sleep(0.05)
    raise RuntimeError("strace could not attach to the service.")


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, started(environment_for(Path(folder) / "data")) as service:
        calls = count_calls(service, Path(folder) / "trace") / UPLOADS
    rows = [["embedded, an upload with three thumbnails", f"{calls:.1f}"]]
    line = aim("calls of fsync per upload", value=calls, limit=10, unit="calls", reason=REASON)
    save("fsyncs", "\n".join([table(("", "fsync and fdatasync"), rows), "", line]))


if __name__ == "__main__":
    main()
