"""Tests of what is logged, and in which format, by processes that configure their logs."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

FAILED_START = """
from contextlib import asynccontextmanager
import uvicorn
from starlette.applications import Starlette
from app.observability.logs import configure_logs

configure_logs(level="INFO", as_text={as_text})

@asynccontextmanager
async def lifespan(app):
    {failing}
    yield

uvicorn.run(Starlette(lifespan=lifespan), port=0, log_config=None)
"""
LINES = """
import logging
import structlog
from app.observability.logs import configure_logs

configure_logs(level="INFO", as_text={as_text})
log = structlog.stdlib.get_logger("app.test")
log.debug("image.hidden")
log.info("image.stored", size=5)
logging.getLogger("library").warning("a %s message", "library")
logging.getLogger("httpx").info("GET https://example.com/?signature=secret")
def fail(password):
    raise ValueError("failed")
try:
    fail("sec" + "ret")
except ValueError:
    log.exception("image.failed")
"""


def run(program: str, *, status: int = 0) -> str:
    """Run the program and return what it wrote to standard error."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    return done.stderr


@pytest.mark.parametrize("as_text", [False, True])
def test_an_unexpected_exception_at_startup_is_logged_with_its_traceback(*, as_text: bool):
    logged = run(FAILED_START.format(failing='raise RuntimeError("no connection")', as_text=as_text), status=3)
    assert "startup failed" in logged
    assert "Traceback" in logged
    assert "RuntimeError: no connection" in logged


@pytest.mark.parametrize("as_text", [False, True])
def test_an_exit_at_startup_is_logged_without_a_traceback(*, as_text: bool):
    """The reason was logged before SystemExit was raised."""
    logged = run(FAILED_START.format(failing="raise SystemExit(3)", as_text=as_text), status=3)
    assert "startup failed" in logged
    assert "Traceback" not in logged


def test_all_lines_including_those_of_libraries_are_json():
    lines = [json.loads(line) for line in run(LINES.format(as_text=False)).splitlines()]
    stored, library, failed = lines
    assert (stored["event"], stored["level"], stored["logger"], stored["size"]) == (
        "image.stored",
        "info",
        "app.test",
        5,
    )
    assert (library["event"], library["level"], library["logger"]) == ("a library message", "warning", "library")
    assert failed["event"] == "image.failed"
    assert "ValueError: failed" in failed["exception"]
    assert all(line["timestamp"].endswith("Z") for line in lines)


@pytest.mark.parametrize("as_text", [False, True])
def test_secrets_in_urls_of_libraries_and_in_local_variables_are_not_logged(*, as_text: bool):
    logged = run(LINES.format(as_text=as_text))
    assert "ValueError: failed" in logged
    assert "secret" not in logged


def test_text_is_not_json():
    stored, *_ = run(LINES.format(as_text=True)).splitlines()
    assert "image.stored" in stored
    assert "size=5" in stored
    assert not stored.startswith("{")
