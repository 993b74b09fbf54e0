"""What the log keeps to itself, and what it must not."""

from __future__ import annotations

import subprocess
import sys

APP = """
import sys
from contextlib import asynccontextmanager
import uvicorn
from starlette.applications import Starlette
from app.logs import configure_logs

configure_logs(level="INFO", for_people=False)

@asynccontextmanager
async def lifespan(app):
    {failing}
    yield

uvicorn.run(Starlette(lifespan=lifespan), port=0, log_config=None)
"""


def said(failing: str) -> str:
    command = [sys.executable, "-c", APP.format(failing=failing)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 3
    assert "startup failed" in done.stderr
    return done.stderr


def test_a_fault_that_ends_a_start_is_told_with_its_trace():
    assert "RuntimeError: the pump is dry" in said('raise RuntimeError("the pump is dry")')


def test_a_start_that_was_ended_in_words_has_no_trace():
    assert "Traceback" not in said("raise SystemExit(3)")
