"""Generates clients from the description of a running service, and runs the journey of a user with each of them."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.conftest import Running, environment_for, started
from tests.pictures import jpeg

FOLDER = Path(__file__).parent
GENERATED = FOLDER / "generated"
"""The compiler finds the packages in node_modules only from within this folder."""
TOOLS = FOLDER / "node_modules/.bin"
SECONDS = 300

needs_node = pytest.mark.skipif(not TOOLS.exists(), reason="requires Node: run `make test-generated-clients`")


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    with started(environment_for(tmp_path_factory.mktemp("service") / "data")) as running:
        yield running


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.jpg"
    path.write_bytes(jpeg())
    return path


def run(*command: str | Path, folder: Path = FOLDER, **environment: str) -> str:
    done = subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.mark.slow
def test_openapi_python_client(service: Running, photo: Path, tmp_path: Path):
    generator = Path(sys.executable).with_name("openapi-python-client")
    output = run(
        generator, "generate", "--meta", "none", "--fail-on-warning", "--url", f"{service.url}/openapi.json",
        "--config", FOLDER / "openapi_python_client.yaml",
        folder=tmp_path, PATH=f"{generator.parent}:{os.environ['PATH']}",
    )  # fmt: skip
    assert "Warning" not in output
    assert run(sys.executable, FOLDER / "journey.py", service.url, photo, PYTHONPATH=str(tmp_path)) == "completed\n"


@needs_node
@pytest.mark.slow
def test_typescript_clients(service: Running, photo: Path):
    shutil.rmtree(GENERATED, ignore_errors=True)
    description = f"{service.url}/openapi.json"
    run(TOOLS / "openapi-typescript", description, "--output", GENERATED / "openapi_typescript/schema.d.ts")
    run(TOOLS / "openapi-ts", "--input", description, "--output", GENERATED / "hey_api")
    run(TOOLS / "tsc")
    for journey in ("openapi_fetch", "hey_api"):
        assert run("node", GENERATED / f"compiled/{journey}.js", service.url, photo) == "completed\n", journey
