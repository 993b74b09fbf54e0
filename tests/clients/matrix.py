"""Counts the responses that HTTP clients lose when a response is sent before the request body has arrived.

`make test-clients` runs all of it, each client straight to the service and through nginx, and prints a table.

A client program gets URL KIND FILE COUNT [TOKEN] as its last arguments. KIND is `form` for a form with the file in it,
or `raw` for the file alone. It sends COUNT requests, one after the other, and after each one another request over
the same connections, and prints how many times it got what as a JSON object: {"401": 19, "EPIPE": 1}.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.acceptance.conftest import environment_for, started
from tests.aws_emulators import free_port, wait_for

FOLDER = Path(__file__).parent
COUNT = 20
SIZES = (1_300_000, 12_000_000, 60_000_000)
MAX_FILE_SIZE = 1024 * 1024
_TIMEOUT_SECONDS = 600


@dataclass(frozen=True)
class Case:
    name: str
    status: int
    kind: str
    with_token: bool


CASES = (
    Case("without a token", 401, "form", with_token=False),
    Case("file over the limit", 413, "form", with_token=True),
    Case("not a form", 415, "raw", with_token=True),
)
FETCH = {"Node fetch": ("node", str(FOLDER / "client.mjs"), "fetch")}
CURL = {
    "curl": ("sh", str(FOLDER / "curl.sh"), "yes"),
    "curl without Expect": ("sh", str(FOLDER / "curl.sh"), "no"),
}


def clients(folder: Path) -> dict[str, tuple[str, ...]]:
    """Return the command of each client; the one in Go is compiled into `folder`."""
    go = str(folder / "client-go")
    subprocess.run(["go", "build", "-o", go, str(FOLDER / "client.go")], check=True)  # noqa: S607
    node = {f"Node {name}": ("node", str(FOLDER / "client.mjs"), name) for name in ("http", "axios")}
    python = {name: (sys.executable, str(FOLDER / "client.py"), name) for name in ("requests", "httpx", "aiohttp")}
    java = {"Java HttpClient": ("java", str(FOLDER / "Client.java"))}
    return {**FETCH, **node, "Go net/http": (go,), **CURL, **python, **java}


def outcomes(command: Iterable[str], url: str, case: Case, *, size: int, token: str) -> dict[str, int]:
    """Return how many times the client got which status, or failed and how."""
    with tempfile.NamedTemporaryFile() as file:
        file.truncate(size)
        arguments = [f"{url}/api/v1/images/upload", case.kind, file.name, str(COUNT)]
        arguments += [token] if case.with_token else []
        done = subprocess.run(
            [*command, *arguments], stdout=subprocess.PIPE, text=True, timeout=_TIMEOUT_SECONDS, check=True
        )
    counts: dict[str, int] = json.loads(done.stdout)
    return counts


@contextmanager
def nginx(folder: Path, upstream: str) -> Iterator[str]:
    """Run nginx in front of `upstream` and yield its URL. It has its defaults except for `client_max_body_size`."""
    folder.chmod(0o755)  # nginx's workers are another user's if it is started by root
    address = f"127.0.0.1:{free_port()}"
    paths = "".join(
        f"{name}_temp_path {folder}/{name};" for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    config = folder / "nginx.conf"
    config.write_text(
        f"daemon off; pid {folder}/nginx.pid; error_log {folder}/nginx.log; events {{}}"
        f"http {{ access_log off; {paths} client_max_body_size 0;"
        f"server {{ listen {address}; location / {{ proxy_pass {upstream}; }} }} }}"
    )
    process = subprocess.Popen(["nginx", "-c", str(config), "-e", f"{folder}/nginx.log"])  # noqa: S607
    try:
        wait_for(f"http://{address}/health/ready")
        yield f"http://{address}"
    finally:
        process.terminate()
        process.wait()


def main() -> int:
    lost = 0
    with (
        tempfile.TemporaryDirectory() as name,
        started(environment_for(Path(name) / "data", MAX_FILE_SIZE=str(MAX_FILE_SIZE))) as running,
        nginx(Path(name), running.url) as proxied,
    ):
        commands = clients(Path(name))
        print(f"{f'lost responses, of {COUNT} each':53}", *(f"{size / 1e6:5} MB" for size in SIZES))
        for client, command in commands.items():
            for via, url in (("direct", running.url), ("nginx", proxied)):
                for case in CASES:
                    token = running.register()["Authorization"].removeprefix("Bearer ")
                    found = [outcomes(command, url, case, size=size, token=token) for size in SIZES]
                    missing = [COUNT - counts.get(str(case.status), 0) for counts in found]
                    row = f"{client:20} {via:7} {case.name:20} {case.status}"
                    print(row, *(f"{number:8}" for number in missing), found if any(missing) else "", flush=True)
                    lost += sum(missing)
    print("lost in total:", lost)
    return 1 if lost else 0


if __name__ == "__main__":
    sys.exit(main())
