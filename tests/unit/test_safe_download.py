"""Tests of downloads from hosts of the catalog. Refusals are verified by the connections that were not made."""

from __future__ import annotations

import asyncio
import hashlib
import os
import ssl
import threading
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest

from app.catalog import safe_download
from app.catalog.safe_download import SafeClient, open_safe_client
from app.domain.errors import AppError, CatalogUnavailable, DependencyUnavailable, ImageRejected, ProductImageMissing
from tests.fake_catalog import Answer, FakeCatalog
from tests.network import Authority, Names, Network
from tests.unit.addresses import NOT_PUBLIC, PUBLIC, PUBLIC_6

NAME = "images.openfoodfacts.org"
OTHER_NAME = "images.openbeautyfacts.org"
HOSTS = frozenset({NAME, OTHER_NAME})
IMAGE = f"https://{NAME}/image.jpg"
DATA = os.urandom(200_000)
MAX_BYTES = 1_000_000

URLS = {
    "http": f"http://{NAME}/image.jpg",
    "file": "file:///etc/passwd",
    "file on a host": f"file://{NAME}/etc/passwd",
    "gopher": f"gopher://{NAME}/_GET",
    "ftp": f"ftp://{NAME}/image.jpg",
    "data": "data:image/png;base64,AAAA",
    "unix": "unix:///var/run/docker.sock",
    "websocket": f"wss://{NAME}/image.jpg",
    "port 80": f"https://{NAME}:80/image.jpg",
    "port 8443": f"https://{NAME}:8443/image.jpg",
    "port 22": f"https://{NAME}:22/image.jpg",
    "port 0": f"https://{NAME}:0/image.jpg",
    "port too high": f"https://{NAME}:65536/image.jpg",
    "port that is not a number": f"https://{NAME}:https/image.jpg",
    "user": f"https://user@{NAME}/image.jpg",
    "user and password": f"https://user:password@{NAME}/image.jpg",
    "empty user": f"https://:@{NAME}/image.jpg",
    "name before an at sign": f"https://{NAME}@127.0.0.1/image.jpg",
    "name before an encoded at sign": f"https://{NAME}%40127.0.0.1/image.jpg",
    "name before a hash": f"https://127.0.0.1#{NAME}/image.jpg",
    "name before a backslash": f"https://127.0.0.1\\@{NAME}/image.jpg",
    "backslashes": f"https:\\\\{NAME}\\image.jpg",
    "another host": "https://example.com/image.jpg",
    "name within a name": f"https://{NAME}.example.com/image.jpg",
    "name after a name": f"https://evil-{NAME}/image.jpg",
    "part of a name": "https://openfoodfacts.org/image.jpg",
    "trailing dot": f"https://{NAME}./image.jpg",
    "line break in the host": f"https://{NAME}\r\nX: y/image.jpg",
    "line break at the end": f"{IMAGE}\r\n",
    "null": f"https://{NAME}\0/image.jpg",
    "no host": "https:///image.jpg",
    "no scheme": f"//{NAME}/image.jpg",
    "empty": "",
    "text": "not a URL",
    "too long": f"{IMAGE}?{'a' * 3000}",
    "localhost": "https://localhost/image.jpg",
    "decimal": "https://2130706433/image.jpg",
    "hex": "https://0x7f000001/image.jpg",
    "octal": "https://017700000001/image.jpg",
    "dotted hex": "https://0x7f.0x0.0x0.0x1/image.jpg",
    "dotted octal": "https://0177.0.0.1/image.jpg",
    "short": "https://127.1/image.jpg",
    "zero": "https://0/image.jpg",
    "full-width digits": "https://１２７.０.０.１/image.jpg",  # noqa: RUF001
    "circled digits": "https://①②⑦.⓪.⓪.①/image.jpg",
    "public address": f"https://{PUBLIC}/image.jpg",
    "public IPv6 address": f"https://[{PUBLIC_6}]/image.jpg",
    "scope id": "https://[fe80::1%25eth0]/image.jpg",
    **{
        f"literal {name}": f"https://{f'[{address}]' if ':' in address else address}/latest/meta-data/"
        for name, address in NOT_PUBLIC.items()
        if "%" not in address
    },
}


@dataclass
class Site:
    """The image host on a port of this machine, with a certificate for `NAME`."""

    fake: FakeCatalog
    network: Network
    names: Names
    tls: ssl.SSLContext
    """A context that trusts the certificate."""
    server_names: list[str | None]
    """The server names (SNI) that clients requested."""

    def client(
        self, *, own: str | None = None, tls: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[SafeClient]:
        return open_safe_client(
            user_agent="Images/1.0 (test)",
            own=httpx.URL(own) if own else None,
            tls=tls or self.tls,
            resolver=self.names,
            network=self.network,
        )

    def answer(self, path: str, **answer: Any) -> None:
        self.fake.answers[path] = lambda: Answer(**{"content_type": "image/jpeg", **answer})


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@asynccontextmanager
async def open_site(authority: Authority, *, name: str = NAME) -> AsyncIterator[Site]:
    server_tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_tls.load_cert_chain(authority.certificate(name))
    server_names: list[str | None] = []
    server_tls.sni_callback = lambda _socket, name, _context: server_names.append(name)
    client_tls = ssl.create_default_context(cafile=authority.path)
    async with FakeCatalog(slow_seconds=60) as fake:
        fake.answers["/image.jpg"] = lambda: Answer(body=DATA, content_type="image/jpeg")
        server = await asyncio.start_server(fake._connected, "127.0.0.1", 0, ssl=server_tls)
        port = server.sockets[0].getsockname()[1]
        try:
            yield Site(fake, Network({PUBLIC: port}), Names({NAME: [[PUBLIC]]}), client_tls, server_names)
        finally:
            server.close()


@pytest.fixture
async def site(authority: Authority) -> AsyncIterator[Site]:
    async with open_site(authority) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Iterable[BinaryIO]:
    with (tmp_path / "image").open("w+b") as opened:
        yield opened


async def download(client: SafeClient, file: BinaryIO, *, url: str = IMAGE, max_bytes: int = MAX_BYTES) -> str:
    return await client.download(url, file, hosts=HOSTS, max_bytes=max_bytes)


def hides_address(error: AppError) -> bool:
    """Return whether the message does not reveal the address that the service refused."""
    return not any(character in error.detail for character in (":", "/", "[")) and "169" not in error.detail


# Addresses and URLs


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
@pytest.mark.parametrize("position", ["alone", "first", "last"])
async def test_a_name_with_any_address_that_is_not_public_is_refused(
    site: Site, file: BinaryIO, address: str, position: str
) -> None:
    addresses = {"alone": [address], "first": [address, PUBLIC], "last": [PUBLIC, PUBLIC_6, address]}[position]
    site.names.answers[NAME] = [addresses]
    async with site.client() as client:
        with pytest.raises(ImageRejected) as raised:
            await download(client, file)
    assert hides_address(raised.value)
    assert site.names.asked == [NAME]
    assert site.network.connected == []


@pytest.mark.parametrize("url", URLS.values(), ids=URLS.keys())
async def test_a_url_that_is_not_of_the_catalog_is_refused_before_its_name_is_resolved(
    site: Site, file: BinaryIO, url: str
) -> None:
    async with site.client() as client:
        with pytest.raises(ImageRejected) as raised:
            await download(client, file, url=url)
    assert hides_address(raised.value)
    assert (site.names.asked, site.network.connected) == ([], [])


# A Location without a scheme or a host is relative to the host that sent it. A header cannot contain line breaks.
LOCATIONS = {
    name: url
    for name, url in URLS.items()
    if ":" in url and url.isprintable() and not url.startswith(("https:///", "https:\\"))
}


@pytest.mark.parametrize("url", LOCATIONS.values(), ids=LOCATIONS.keys())
async def test_the_url_of_a_redirect_is_checked(site: Site, file: BinaryIO, url: str) -> None:
    site.answer("/start.jpg", status=302, headers={"Location": url.encode().decode("latin-1")})
    async with site.client() as client:
        with pytest.raises(ImageRejected):
            await download(client, file, url=f"https://{NAME}/start.jpg")
    assert (site.names.asked, site.network.connected) == ([NAME], [(PUBLIC, 443)])


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
async def test_the_address_of_a_redirect_is_checked(site: Site, file: BinaryIO, address: str) -> None:
    site.names.answers[OTHER_NAME] = [[address]]
    site.answer("/start.jpg", status=307, headers={"Location": f"https://{OTHER_NAME}/image.jpg"})
    async with site.client() as client:
        with pytest.raises(ImageRejected):
            await download(client, file, url=f"https://{NAME}/start.jpg")
    assert (site.names.asked, site.network.connected) == ([NAME, OTHER_NAME], [(PUBLIC, 443)])


async def test_each_connection_uses_the_address_that_was_checked(site: Site, file: BinaryIO) -> None:
    site.names.answers[NAME] = [[PUBLIC], ["127.0.0.1"]]
    async with site.client() as client:
        await download(client, file)
        assert (site.names.asked, site.network.connected) == ([NAME], [(PUBLIC, 443)])
        with pytest.raises(ImageRejected):
            await download(client, file)
    assert (site.names.asked, site.network.connected) == ([NAME, NAME], [(PUBLIC, 443)])


async def test_the_address_is_checked_again_when_connecting_is_retried(site: Site, file: BinaryIO) -> None:
    site.network.routes = {}
    site.names.answers[NAME] = [[PUBLIC], ["127.0.0.1"]]
    async with site.client() as client:
        with pytest.raises(ImageRejected):
            await download(client, file)
    assert site.network.connected == [(PUBLIC, 443)]


async def test_the_next_address_is_tried_if_one_does_not_respond(site: Site, file: BinaryIO) -> None:
    site.names.answers[NAME] = [[PUBLIC_6, PUBLIC]]
    async with site.client() as client:
        await download(client, file)
    assert site.network.connected == [(PUBLIC_6, 443), (PUBLIC, 443)]


async def test_connecting_to_a_host_that_is_down_is_retried_once(site: Site, file: BinaryIO) -> None:
    site.network.routes = {}
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
    assert site.network.connected == [(PUBLIC, 443)] * 2


@pytest.mark.parametrize("addresses", [None, []], ids=["no such name", "no address"])
async def test_a_name_without_an_address_is_a_transient_error(
    site: Site, file: BinaryIO, addresses: list[str] | None
) -> None:
    site.names.answers = {} if addresses is None else {NAME: [addresses]}
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
    assert site.network.connected == []


# The real resolver and sockets, and a server that listens on this machine


@asynccontextmanager
async def open_listener() -> AsyncIterator[tuple[int, list[object], asyncio.Event]]:
    """Yield the port of a server, its connections, and an event that is set by the first one."""
    connections: list[object] = []
    is_connected = asyncio.Event()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        connections.append(writer.get_extra_info("peername"))
        is_connected.set()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], connections, is_connected
    finally:
        server.close()


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "localhost",
        "2130706433",
        "0x7f000001",
        "017700000001",
        "0177.0.0.1",
        "127.1",
        "0",
        "::ffff:127.0.0.1",
    ],
)
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_servers_on_this_machine_cannot_be_reached(
    monkeypatch: pytest.MonkeyPatch, file: BinaryIO, scheme: str, host: str
) -> None:
    async with open_listener() as (port, connections, is_connected), FakeCatalog() as fake:
        # The listener can be reached with this host name, but not by the client under test.
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        await is_connected.wait()
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/image.jpg"
        fake.answers["/start.jpg"] = lambda: Answer(302, headers={"Location": url})
        async with open_safe_client(user_agent="Images/1.0", own=httpx.URL(fake.url)) as client:
            for start in (url, f"{fake.url}/start.jpg"):
                with pytest.raises(ImageRejected):
                    await download(client, file, url=start)
        assert len(connections) == 1
        assert len(fake.seen) == 1


async def test_a_name_that_the_system_resolves_to_loopback_is_refused(file: BinaryIO) -> None:
    network = Network({})
    async with open_safe_client(user_agent="Images/1.0", own=None, network=network) as client:
        with pytest.raises(ImageRejected):
            await client.download("https://localhost/image.jpg", file, hosts={"localhost"}, max_bytes=MAX_BYTES)
    assert network.connected == []


# The operator's own catalog server


async def test_the_operators_own_server_may_have_any_address(file: BinaryIO) -> None:
    async with FakeCatalog() as fake:
        fake.answers["/image.jpg"] = lambda: Answer(302, headers={"Location": "/moved.jpg"})
        fake.answers["/moved.jpg"] = lambda: Answer(body=DATA)
        async with open_safe_client(user_agent="Images/1.0", own=httpx.URL(fake.url)) as client:
            assert await download(client, file, url=f"{fake.url}/image.jpg") == hashlib.sha256(DATA).hexdigest()


async def test_another_port_of_the_operators_own_server_is_refused(site: Site, file: BinaryIO) -> None:
    async with site.client(own="http://127.0.0.1:8000") as client:
        for url in ("http://127.0.0.1:8001/i.jpg", "https://127.0.0.1:8000/i.jpg", "http://localhost:8000/i.jpg"):
            with pytest.raises(ImageRejected):
                await download(client, file, url=url)
    assert (site.names.asked, site.network.connected) == ([], [])


async def test_a_host_of_the_catalog_is_not_exempt_because_another_of_its_ports_is(site: Site, file: BinaryIO) -> None:
    site.names.answers[NAME] = [["10.0.0.1"]]
    async with site.client(own=f"http://{NAME}:8000") as client:
        with pytest.raises(ImageRejected):
            await download(client, file)
    assert site.network.connected == []


async def test_the_operators_password_is_sent_only_to_the_operators_server(site: Site, file: BinaryIO) -> None:
    async with FakeCatalog() as own:
        own.answers["/image.jpg"] = lambda: Answer(302, headers={"Location": IMAGE})
        port = httpx.URL(own.url).port
        assert port
        site.network.routes["127.0.0.1"] = port
        async with site.client(own=own.url.replace("//", "//off:secret@")) as client:
            await download(client, file, url=f"{own.url}/image.jpg")
        assert own.seen[0].headers["authorization"] == "Basic b2ZmOnNlY3JldA=="
    assert "authorization" not in site.fake.seen[0].headers


# TLS


async def test_the_certificate_is_checked_against_the_host_name(site: Site, file: BinaryIO) -> None:
    async with site.client() as client:
        await download(client, file)
    assert site.server_names == [NAME]
    assert site.fake.seen[0].headers["host"] == NAME


async def test_a_certificate_for_another_name_is_refused(authority: Authority, file: BinaryIO) -> None:
    async with open_site(authority, name="another.example") as site, site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
        assert site.server_names == [NAME] * 2
        assert site.fake.seen == []


async def test_a_certificate_from_an_unknown_authority_is_refused(site: Site, file: BinaryIO) -> None:
    async with site.client(tls=httpx.create_ssl_context()) as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
    assert site.fake.seen == []


# Responses


async def test_the_image_replaces_the_content_of_the_file_and_is_hashed(site: Site, file: BinaryIO) -> None:
    file.write(b"x" * (len(DATA) + 1000))
    file.flush()
    async with site.client() as client:
        assert await download(client, file) == hashlib.sha256(DATA).hexdigest()
    file.seek(0)
    assert file.read() == DATA
    headers = site.fake.seen[0].headers
    assert (headers["user-agent"], headers["accept-encoding"]) == ("Images/1.0 (test)", "identity")


async def test_the_file_is_not_written_on_the_event_loop(
    site: Site, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    pwrite = os.pwrite

    def watched_pwrite(*args: Any) -> int:
        threads.add(threading.get_ident())
        return pwrite(*args)

    monkeypatch.setattr(os, "pwrite", watched_pwrite)
    async with site.client() as client:
        await download(client, file)
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("redirects, is_followed", [(3, True), (4, False)])
async def test_up_to_three_redirects_are_followed(
    site: Site, file: BinaryIO, redirects: int, *, is_followed: bool
) -> None:
    for n in range(redirects):
        site.answer(f"/{n + 1}", status=301, headers={"Location": f"/{n}" if n else "/image.jpg"})
    async with site.client() as client:
        if is_followed:
            assert await download(client, file, url=f"https://{NAME}/{redirects}") == hashlib.sha256(DATA).hexdigest()
        else:
            with pytest.raises(ImageRejected):
                await download(client, file, url=f"https://{NAME}/{redirects}")


async def test_an_image_of_exactly_the_maximum_size_is_accepted(site: Site, file: BinaryIO) -> None:
    async with site.client() as client:
        await download(client, file, max_bytes=len(DATA))


@pytest.mark.parametrize("says_length", [True, False])
async def test_an_image_over_the_limit_is_not_read_completely(site: Site, file: BinaryIO, *, says_length: bool) -> None:
    site.answer("/image.jpg", body=bytes(30_000_000), says_length=says_length)
    async with site.client() as client:
        with pytest.raises(ImageRejected, match="larger than 1,000,000 bytes"):
            await download(client, file)
    size = os.fstat(file.fileno()).st_size
    assert size == 0 if says_length else 0 < size <= MAX_BYTES


async def test_a_wrong_content_length_does_not_bypass_the_limit(site: Site, file: BinaryIO) -> None:
    site.answer("/image.jpg", body=DATA, says_length=False, headers={"Content-Length": "10"})
    async with site.client() as client:
        assert await download(client, file) == hashlib.sha256(DATA[:10]).hexdigest()


@pytest.mark.parametrize(
    "answer, error",
    [
        ({"status": 404}, ProductImageMissing),
        ({"status": 410}, ProductImageMissing),
        ({"status": 401}, ImageRejected),
        ({"status": 403}, ImageRejected),
        ({"status": 451}, ImageRejected),
        ({"status": 204}, ImageRejected),
        ({"status": 206, "body": b"part"}, ImageRejected),
        ({"status": 300}, ImageRejected),
        ({"status": 302}, ImageRejected),
        ({"status": 200, "body": b""}, ImageRejected),
        ({"status": 200, "body": b"x", "headers": {"Content-Encoding": "gzip"}}, ImageRejected),
        ({"status": 429}, CatalogUnavailable),
        ({"status": 500}, CatalogUnavailable),
        ({"status": 503}, CatalogUnavailable),
        ({"status": 200, "body": DATA, "cut_off": True}, CatalogUnavailable),
        ({"status": 200, "headers": {"Content-Length": "no number"}}, CatalogUnavailable),
    ],
)
async def test_other_responses_are_errors(
    site: Site, file: BinaryIO, answer: dict[str, Any], error: type[AppError]
) -> None:
    site.answer("/image.jpg", **answer)
    async with site.client() as client:
        with pytest.raises(error):
            await download(client, file)


@pytest.mark.parametrize(
    "value, seconds",
    [("7", 7), ("0", 1), ("99999", 900), ("9" * 5000, None), ("-3", None), ("soon", None), ("²", None)],
)
async def test_the_requested_delay_is_limited(site: Site, file: BinaryIO, value: str, seconds: int | None) -> None:
    site.answer("/image.jpg", status=503, headers={"Retry-After": value})
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable) as raised:
            await download(client, file)
    assert raised.value.retry_after == seconds


@pytest.mark.parametrize(
    "value, seconds",
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", 1),
        ("Fri, 31 Dec 2100 23:59:59 GMT", 900),
        ("Fri, 31 Dec 2100 23:59:59 -0000", None),
    ],
)
async def test_the_requested_delay_may_be_a_date(site: Site, file: BinaryIO, value: str, seconds: int | None) -> None:
    site.answer("/image.jpg", status=503, headers={"Retry-After": value})
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable) as raised:
            await download(client, file)
    assert raised.value.retry_after == seconds


async def test_an_image_that_takes_too_long_is_a_transient_error(
    site: Site, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_download, "_DOWNLOAD_SECONDS", 0.2)
    site.answer("/image.jpg", body=DATA, delay_seconds=60)
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)


async def test_a_full_disk_is_not_an_error_of_the_catalog(
    site: Site, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", fail)
    async with site.client() as client:
        with pytest.raises(DependencyUnavailable):
            await download(client, file)
