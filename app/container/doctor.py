"""Runs all checks of an installation that apply to the settings."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx

from app.container.data_dir import DataDir
from app.doctor.finding import Finding, failed, passed
from app.doctor.firebase import check_firebase, check_firebase_emulator
from app.doctor.local import check_disk, check_file_clock
from app.doctor.network import check_service
from app.settings import Settings, reveal
from app.startup import all_misspelled

_REQUEST_SECONDS = 10
_UPLOADS = 10
"""How many of the largest uploads must fit on the disk."""
_ANY_ADDRESS = ("0.0.0.0", "::", "")  # noqa: S104 - compared only


async def examine(settings: Settings) -> AsyncIterator[Finding]:
    """Yield the finding of each check. The only change is that a missing DATA_DIR is created."""
    for name, nearest in all_misspelled():
        yield failed("settings", f"{name} is not a setting. Did you mean {nearest}?")
    yield passed("settings", "all values are valid")
    async for finding in _check_local(settings):
        yield finding
    if settings.aws_services:
        from app.container.aws_checks import check_aws

        try:
            async for finding in check_aws(settings):
                yield finding
        except RuntimeError as error:
            yield failed("AWS", str(error))
    async with httpx.AsyncClient(timeout=_REQUEST_SECONDS) as client:
        if settings.auth == "firebase":
            async for finding in _check_firebase(client, settings):
                yield finding
        url = settings.public_url or _local_url(settings)
        origins = [origin for origin in settings.cors_origins if origin != "*"]
        async for finding in check_service(client, url, public_url=settings.public_url, cors_origins=origins):
            yield finding


async def _check_local(settings: Settings) -> AsyncIterator[Finding]:
    try:
        data_dir = await asyncio.to_thread(DataDir, settings.data_dir)
    except OSError as error:
        yield failed("disk", f"DATA_DIR ({settings.data_dir}) cannot be created: {error.strerror}. Check its owner.")
        return
    needed = _UPLOADS * max(settings.max_file_size, settings.max_direct_file_size)
    disk = await asyncio.to_thread(check_disk, data_dir.path, needed_bytes=needed)
    yield disk
    if settings.storage == "disk":
        yield await asyncio.to_thread(check_file_clock, data_dir.path)


async def _check_firebase(client: httpx.AsyncClient, settings: Settings) -> AsyncIterator[Finding]:
    project_id = settings.google_cloud_project or ""
    if host := settings.firebase_auth_emulator_host:
        yield await check_firebase_emulator(client, host=host, project_id=project_id)
        return
    async for finding in check_firebase(client, project_id=project_id, api_key=reveal(settings.firebase_api_key)):
        yield finding


def _local_url(settings: Settings) -> str:
    host = "127.0.0.1" if settings.host in _ANY_ADDRESS else settings.host
    return f"http://{f'[{host}]' if ':' in host else host}:{settings.port}"
