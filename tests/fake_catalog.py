"""A small product catalog that responds as Open Food Facts does: `async with FakeCatalog()`, or run it on a port."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any, NamedTuple, Self
from urllib.parse import urlsplit

from tests.pictures import jpeg

WITH_IMAGE = "3017620422003"
"""A hazelnut spread, 1,200 by 900 pixels."""
SECOND_WITH_IMAGE = "96385074"
"""An EAN-8."""
WITHOUT_IMAGE = "2000000000015"
UNKNOWN = "2000000000022"
"""All codes that are not named here are also unknown."""
IN_SISTER_DATABASE = "2000000000039"
"""Redirected to another path, where it has an image."""
UNSTEADY = "2000000000046"
"""The first response is a 503, the next one has an image."""
THROTTLED = "2000000000053"
DOWN = "2000000000060"
BLOCKED = "2000000000077"
"""A page of HTML with status 200."""
BROKEN_JSON = "2000000000084"
ENDLESS = "2000000000091"
"""A response that is larger than that of any product."""
SLOW = "2000000000107"
REDIRECTED_AWAY = "2000000000114"
"""Redirects to a host that belongs to no catalog."""
REDIRECTED_INSIDE = "2000000000121"
"""Redirects to the metadata service of cloud machines, which returns credentials."""
REDIRECTED_FOREVER = "2000000000138"
IMAGE_TOO_LARGE = "2000000000145"
"""Twelve million bytes without a Content-Length."""
IMAGE_IS_HTML = "2000000000152"
"""Declared as JPEG."""
IMAGE_IS_CORRUPT = "2000000000169"
IMAGE_IS_SVG = "2000000000176"
IMAGE_IS_SLOW = "2000000000183"
IMAGE_IS_GONE = "2000000000190"
IMAGE_IS_DOWN = "2000000000206"
IMAGE_REDIRECTED_INSIDE = "2000000000213"
IMAGE_IS_INSIDE = "2000000000220"
"""The URL of the image refers to a private address."""
IMAGE_IS_TRUNCATED = "2000000000237"
"""The connection ends before the image does."""

INSIDE = "http://169.254.169.254/latest/meta-data/"
_PRODUCT = "/api/v2/product/"
_SISTER = "/sister/api/v2/product/"
_CHUNK = 1 << 16


class Seen(NamedTuple):
    path: str
    user_agent: str
    headers: Mapping[str, str]


@dataclass(frozen=True)
class Answer:
    status: int = 200
    body: bytes = b""
    content_type: str = "application/json; charset=utf-8"
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_seconds: float = 0
    says_length: bool = True
    cut_off: bool = False
    """Send only half of the body."""


class FakeCatalog:
    """Tests may change `answers`: the response for the code of a product or the path of an image."""

    def __init__(self, *, slow_seconds: float = 30) -> None:
        self.seen: list[Seen] = []
        self.slow_seconds = slow_seconds
        self.answers: dict[str, Callable[[], Answer]] = {}
        self.url = ""
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        return await self.listen(0)

    async def __aexit__(self, *_: object) -> None:
        assert self._server
        self._server.close()
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)

    async def listen(self, port: int) -> Self:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", port)
        self.url = f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"
        self.answers = _answers(self)
        return self

    async def serve_forever(self) -> None:
        assert self._server
        await self._server.serve_forever()

    def asked(self, ean: str) -> int:
        """Return the number of requests for that product, without images and redirects."""
        return sum(seen.path.startswith(_PRODUCT + ean) for seen in self.seen)

    @property
    def user_agents(self) -> set[str]:
        return {seen.user_agent for seen in self.seen}

    def product(self, ean: str, *, image: str | None = "", **fields: Any) -> Answer:
        """Return the response for a product with that image: a URL, None for no image, or the default if empty."""
        url = self.url + image_path(ean, "400") if image == "" else image
        images = {} if url is None else {"image_front_url": url, "selected_images": {"front": {"display": {"en": url}}}}
        product = {
            "code": ean,
            "product_name": "Hazelnut spread",
            "brands": "Nutty,Nutty & Sons",
            "product_type": "food",
        }
        found = {
            "code": ean,
            "product": {**product, **images, **fields},
            "status": 1,
            "status_verbose": "product found",
        }
        return Answer(body=json.dumps(found).encode())

    def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connection = asyncio.ensure_future(self._serve(reader, writer))
        self._connections.add(connection)
        connection.add_done_callback(self._connections.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:])}
            target = head[0].split(" ")[1]
            self.seen.append(Seen(target, headers.get("user-agent", ""), headers))
            await _send(writer, self._answer(urlsplit(target).path))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the client has disconnected
        finally:
            writer.close()

    def _answer(self, path: str) -> Answer:
        for prefix in (_SISTER, _PRODUCT):
            if path.startswith(prefix):
                ean = path.removeprefix(prefix)
                key = path if path in self.answers else ean
                return self.answers[key]() if key in self.answers else _unknown(ean)
        return self.answers[path]() if path in self.answers else Answer(404, b"Not found", "text/plain")


def image_path(ean: str, size: str) -> str:
    folder = ean if len(ean) <= 8 else "/".join((ean[:3], ean[3:6], ean[6:9], ean[9:]))
    return f"/images/products/{folder}/front_en.4.{size}.jpg"


def _answers(fake: FakeCatalog) -> dict[str, Callable[[], Answer]]:
    first = [Answer(503, b"<h1>Service Unavailable</h1>", "text/html")]
    fixed = {
        WITHOUT_IMAGE: fake.product(WITHOUT_IMAGE, image=None),
        IN_SISTER_DATABASE: _redirect(f"{_SISTER}{IN_SISTER_DATABASE}?product_type=all"),
        _SISTER + IN_SISTER_DATABASE: fake.product(IN_SISTER_DATABASE, product_name="Shampoo", product_type="beauty"),
        THROTTLED: Answer(429, b"<h1>Too many requests</h1>", "text/html"),
        DOWN: Answer(503, b"<h1>Service Unavailable</h1>", "text/html"),
        BLOCKED: Answer(200, b"<!DOCTYPE html><title>Blocked</title>", "text/html"),
        BROKEN_JSON: Answer(body=b'{"status": 1, "product": {"image_front_url": '),
        ENDLESS: Answer(body=b'{"status": 1, "product": {"product_name": "' + b"a" * 2_000_000 + b'"}}'),
        REDIRECTED_AWAY: _redirect("https://example.com/api/v2/product/1"),
        REDIRECTED_INSIDE: _redirect(INSIDE),
        REDIRECTED_FOREVER: _redirect(_PRODUCT + REDIRECTED_FOREVER),
        IMAGE_IS_INSIDE: fake.product(IMAGE_IS_INSIDE, image=INSIDE),
    }
    answers: dict[str, Callable[[], Answer]] = {key: _always(answer) for key, answer in fixed.items()}
    answers[SLOW] = lambda: Answer(delay_seconds=fake.slow_seconds)
    answers[UNSTEADY] = lambda: first.pop() if first else fake.product(UNSTEADY)
    for ean, image in _images(fake).items():
        answers.setdefault(ean, _always(fake.product(ean)))
        for size in ("400", "full"):
            answers[image_path(ean, size)] = image
    return answers


def _images(fake: FakeCatalog) -> dict[str, Callable[[], Answer]]:
    fine = (WITH_IMAGE, SECOND_WITH_IMAGE, IN_SISTER_DATABASE, UNSTEADY)
    images: dict[str, Callable[[], Answer]] = {ean: _always(_image(_photo(seed))) for seed, ean in enumerate(fine)}
    images[IMAGE_TOO_LARGE] = lambda: Answer(
        body=_photo(0) + bytes(12_000_000), content_type="image/jpeg", says_length=False
    )
    images[IMAGE_IS_HTML] = _always(_image(b"<!DOCTYPE html><title>Not an image</title>"))
    images[IMAGE_IS_CORRUPT] = lambda: _image(_photo(0)[:5000] + b"\0" * 5000)
    images[IMAGE_IS_SVG] = _always(
        Answer(body=b'<svg xmlns="http://www.w3.org/2000/svg"/>', content_type="image/svg+xml")
    )
    images[IMAGE_IS_SLOW] = lambda: Answer(content_type="image/jpeg", delay_seconds=fake.slow_seconds)
    images[IMAGE_IS_GONE] = _always(Answer(404, b"Not found", "text/plain"))
    images[IMAGE_IS_DOWN] = _always(Answer(502, b"<h1>Bad Gateway</h1>", "text/html"))
    images[IMAGE_REDIRECTED_INSIDE] = _always(_redirect(INSIDE))
    images[IMAGE_IS_TRUNCATED] = lambda: Answer(body=_photo(0), content_type="image/jpeg", cut_off=True)
    return images


def _always(answer: Answer) -> Callable[[], Answer]:
    return lambda: answer


def _redirect(location: str) -> Answer:
    return Answer(302, headers={"Location": location})


def _image(data: bytes) -> Answer:
    return Answer(body=data, content_type="image/jpeg")


def _unknown(ean: str) -> Answer:
    words = {"code": ean, "status": 0, "status_verbose": "product not found"}
    return Answer(404, json.dumps(words).encode())


@cache
def _photo(seed: int) -> bytes:
    return jpeg(1200, 900, seed=seed)


async def _send(writer: asyncio.StreamWriter, answer: Answer) -> None:
    await asyncio.sleep(answer.delay_seconds)
    length = {"Content-Length": str(len(answer.body))} if answer.says_length else {}
    headers = {"Content-Type": answer.content_type, "Connection": "close", **length, **answer.headers}
    lines = [f"HTTP/1.1 {answer.status} -", *(f"{name}: {value}" for name, value in headers.items()), "", ""]
    writer.write("\r\n".join(lines).encode("latin-1"))
    end = len(answer.body) // 2 if answer.cut_off else len(answer.body)
    for start in range(0, end, _CHUNK):
        writer.write(answer.body[start : min(start + _CHUNK, end)])
        await writer.drain()
    await writer.drain()


async def _main(port: int) -> None:
    fake = await FakeCatalog().listen(port)
    print(f"the fake catalog listens on {fake.url}", flush=True)  # noqa: T201 # the parent process waits for this line
    await fake.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(int(sys.argv[1])))
