"""Sends requests with a client for Python; matrix.py describes the arguments and the output."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import aiohttp
import httpx
import requests

CLIENT, URL, KIND, PATH, COUNT, *TOKEN = sys.argv[1:]
HEADERS = {"Authorization": f"Bearer {TOKEN[0]}"} if TOKEN else {}
if KIND == "raw":
    HEADERS["Content-Type"] = "text/plain"  # an image would be accepted
Exchange = Callable[[], tuple[dict[str, Any], dict[str, Any]]]
"""Returns the JSON of the response to the upload, and of the response to the request after it."""


def body() -> dict[str, Any]:
    content = Path(PATH).read_bytes()
    return {"files": {"file": ("photo.jpg", content)}} if KIND == "form" else {"data": content}


@contextmanager
def with_requests() -> Iterator[Exchange]:
    with requests.Session() as session:
        health = urljoin(URL, "/health/live")
        yield lambda: (session.post(URL, headers=HEADERS, **body()).json(), session.get(health).json())


@contextmanager
def with_httpx() -> Iterator[Exchange]:
    arguments = body()
    if "data" in arguments:
        arguments = {"content": arguments["data"]}
    with httpx.Client(timeout=60) as client:
        health = urljoin(URL, "/health/live")
        yield lambda: (client.post(URL, headers=HEADERS, **arguments).json(), client.get(health).json())


@contextmanager
def with_aiohttp() -> Iterator[Exchange]:
    async def exchange(session: aiohttp.ClientSession) -> tuple[dict[str, Any], dict[str, Any]]:
        data: Any = Path(PATH).read_bytes()  # noqa: ASYNC240 - nothing else runs here
        if KIND == "form":
            form = aiohttp.FormData()
            form.add_field("file", data, filename="photo.jpg")
            data = form
        async with session.post(URL, headers=HEADERS, data=data) as response:
            problem = json.loads(await response.read())
        async with session.get(urljoin(URL, "/health/live")) as response:
            return problem, await response.json()

    async def session() -> aiohttp.ClientSession:
        return aiohttp.ClientSession()

    with asyncio.Runner() as runner:
        opened = runner.run(session())
        yield lambda: runner.run(exchange(opened))
        runner.run(opened.close())


def main() -> None:
    outcomes: Counter[str] = Counter()
    with {"requests": with_requests, "httpx": with_httpx, "aiohttp": with_aiohttp}[CLIENT]() as exchange:
        for _ in range(int(COUNT)):
            try:
                problem, live = exchange()
            except Exception as error:  # noqa: BLE001 - whatever it is, the response is lost
                outcomes[repr(error)[:80]] += 1
            else:
                outcomes[str(problem["status"]) if live.get("status") == "ok" else f"then {live}"] += 1
    print(json.dumps(outcomes))


main()
