"""The running Auth emulator, and ID tokens from the SDK that people's own clients use."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from app.auth.firebase import FirebaseAccounts, open_firebase_accounts

SCRIPT = Path(__file__).with_name("sign_in.mjs")


@dataclass(frozen=True)
class Emulator:
    host: str
    project_id: str


@pytest.fixture(scope="session")
def emulator() -> Emulator:
    host = os.environ.get("FIREBASE_AUTH_EMULATOR_HOST")
    if not host:
        pytest.skip("no Firebase Auth emulator: run `make test-firebase`, which starts one")
    return Emulator(host, "demo-images")


@pytest.fixture
async def accounts(emulator: Emulator) -> AsyncIterator[FirebaseAccounts]:
    async with (
        httpx.AsyncClient(timeout=10) as client,
        open_firebase_accounts(
            client, project_id=emulator.project_id, api_key="any", emulator_host=emulator.host
        ) as opened,
    ):
        yield opened


async def sdk_id_token(emulator: Emulator, *, email: str, password: str) -> str:
    """Sign up and in with the Firebase JS SDK and return the ID token that it got."""
    process = await asyncio.create_subprocess_exec(
        "node", SCRIPT, emulator.host, emulator.project_id, email, password, stdout=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(300):
        output, _ = await process.communicate()
    assert process.returncode == 0
    return output.decode()
