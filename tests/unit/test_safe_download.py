"""What a download connects to, and what it does not: every refusal is proven by the connections that were not made."""

from __future__ import annotations

import asyncio
import hashlib
import ipaddress
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

from app.adapters import safe_download
from app.adapters.public_addresses import is_public
from app.adapters.safe_download import SafeClient, open_safe_client
from app.core.errors import AppError, CatalogUnavailable, DependencyUnavailable, ImageRejected, ProductImageMissing
from tests.fake_catalog import Answer, FakeCatalog
from tests.network import Authority, Names, Network

NAME = "images.openfoodfacts.org"
OTHER_NAME = "images.openbeautyfacts.org"
HOSTS = frozenset({NAME, OTHER_NAME})
PUBLIC = "93.184.215.14"
PUBLIC_6 = "2606:2800:21f:cb07:6820:80da:af6b:8b2c"
IMAGE = f"https://{NAME}/image.jpg"
DATA = os.urandom(200_000)
MAX = 1_000_000

PRIVATE = {
    "unspecified": "0.0.0.0",  # noqa: S104 # nothing is bound
    "this network": "0.1.2.3",
    "10/8": "10.0.0.1",
    "CGNAT": "100.64.0.1",
    "CGNAT's end": "100.127.255.254",
    "Alibaba's metadata": "100.100.100.200",
    "loopback": "127.0.0.1",
    "loopback's end": "127.255.255.254",
    "metadata": "169.254.169.254",
    "172.16/12": "172.16.0.1",
    "172.16/12's end": "172.31.255.255",
    "Oracle's metadata": "192.0.0.192",
    "documentation": "192.0.2.1",
    "6to4 relay": "192.88.99.1",
    "192.168/16": "192.168.0.1",
    "benchmarks": "198.18.0.1",
    "benchmarks' end": "198.19.255.255",
    "documentation 2": "198.51.100.1",
    "documentation 3": "203.0.113.1",
    "multicast": "224.0.0.1",
    "reserved": "240.0.0.1",
    "broadcast": "255.255.255.255",
    "IPv6 unspecified": "::",
    "IPv6 loopback": "::1",
    "compatible": "::7f00:1",
    "mapped loopback": "::ffff:127.0.0.1",
    "mapped public": f"::ffff:{PUBLIC}",
    "translated": "::ffff:0:7f00:1",
    "NAT64 of loopback": "64:ff9b::7f00:1",
    "NAT64 of a public one": "64:ff9b::5db8:d70e",
    "local NAT64": "64:ff9b:1::a00:1",
    "discard": "100::1",
    "Teredo": "2001:0:4136:e378:8000:63bf:3fff:fdd2",
    "IPv6 benchmarks": "2001:2::1",
    "ORCHID": "2001:20::1",
    "IPv6 documentation": "2001:db8::1",
    "6to4 of loopback": "2002:7f00:1::",
    "6to4 of metadata": "2002:a9fe:a9fe::1",
    "IPv6 documentation 2": "3fff::1",
    "segment routing": "5f00::1",
    "ULA": "fd00::1",
    "ULA of AWS's metadata": "fd00:ec2::254",
    "link-local": "fe80::1",
    "link-local with a scope": "fe80::1%eth0",
    "public with a scope": f"{PUBLIC_6}%1",
    "site-local": "fec0::1",
    "IPv6 multicast": "ff02::1",
}

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
    "port of text": f"https://{NAME}:https/image.jpg",
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
    "words": "no URL at all",
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
    "a public address": f"https://{PUBLIC}/image.jpg",
    "a public IPv6 address": f"https://[{PUBLIC_6}]/image.jpg",
    "scope id": "https://[fe80::1%25eth0]/image.jpg",
    **{
        f"literal {name}": f"https://{f'[{address}]' if ':' in address else address}/latest/meta-data/"
        for name, address in PRIVATE.items()
        if "%" not in address
    },
}


@dataclass
class Site:
    """The image host on a port of this machine, with a certificate for NAME; and what reached it."""

    fake: FakeCatalog
    network: Network
    names: Names
    trusting: ssl.SSLContext
    server_names: list[str | None]

    def client(
        self, *, own: str | None = None, tls: ssl.SSLContext | None = None
    ) -> AbstractAsyncContextManager[SafeClient]:
        return open_safe_client(
            user_agent="Images/1.0 (test)",
            own=httpx.URL(own) if own else None,
            tls=tls or self.trusting,
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
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    served.load_cert_chain(authority.certificate(name))
    server_names: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: server_names.append(name)
    trusting = ssl.create_default_context(cafile=authority.path)
    async with FakeCatalog(slow_seconds=60) as fake:
        fake.answers["/image.jpg"] = lambda: Answer(body=DATA, content_type="image/jpeg")
        server = await asyncio.start_server(fake._connected, "127.0.0.1", 0, ssl=served)
        port = server.sockets[0].getsockname()[1]
        try:
            yield Site(fake, Network({PUBLIC: port}), Names({NAME: [[PUBLIC]]}), trusting, server_names)
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


async def download(client: SafeClient, file: BinaryIO, *, url: str = IMAGE, max_bytes: int = MAX) -> str:
    return await client.download(url, file, hosts=HOSTS, max_bytes=max_bytes)


def is_silent(error: AppError) -> bool:
    """Whether the words tell nothing of where the service would have gone."""
    return not any(character in error.detail for character in (":", "/", "[")) and "169" not in error.detail


# Addresses


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE.keys())
def test_an_address_that_is_not_everybodys_is_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", [PUBLIC, PUBLIC_6, "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2a00::1"]
)
def test_a_public_address_is_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE.keys())
@pytest.mark.parametrize("beside", ["alone", "first", "last"])
async def test_a_name_with_any_address_inside_is_not_connected_to(
    site: Site, file: BinaryIO, address: str, beside: str
) -> None:
    addresses = {"alone": [address], "first": [address, PUBLIC], "last": [PUBLIC, PUBLIC_6, address]}[beside]
    site.names.answers[NAME] = [addresses]
    async with site.client() as client:
        with pytest.raises(ImageRejected) as refusal:
            await download(client, file)
    assert is_silent(refusal.value)
    assert site.names.asked == [NAME]
    assert site.network.connected == []


@pytest.mark.parametrize("url", URLS.values(), ids=URLS.keys())
async def test_a_url_that_is_not_one_of_the_catalogues_is_not_even_looked_up(
    site: Site, file: BinaryIO, url: str
) -> None:
    async with site.client() as client:
        with pytest.raises(ImageRejected) as refusal:
            await download(client, file, url=url)
    assert is_silent(refusal.value)
    assert (site.names.asked, site.network.connected) == ([], [])


# Without a scheme or a host a Location belongs to the host that sent it, and a header ends where its line does.
LOCATIONS = {
    name: url
    for name, url in URLS.items()
    if ":" in url and url.isprintable() and not url.startswith(("https:///", "https:\\"))
}


@pytest.mark.parametrize("url", LOCATIONS.values(), ids=LOCATIONS.keys())
async def test_a_redirect_is_checked_like_the_first_url(site: Site, file: BinaryIO, url: str) -> None:
    site.answer("/start.jpg", status=302, headers={"Location": url.encode().decode("latin-1")})
    async with site.client() as client:
        with pytest.raises(ImageRejected):
            await download(client, file, url=f"https://{NAME}/start.jpg")
    assert (site.names.asked, site.network.connected) == ([NAME], [(PUBLIC, 443)])


@pytest.mark.parametrize("address", PRIVATE.values(), ids=PRIVATE.keys())
async def test_a_redirect_to_a_name_with_an_address_inside_is_not_followed(
    site: Site, file: BinaryIO, address: str
) -> None:
    site.names.answers[OTHER_NAME] = [[address]]
    site.answer("/start.jpg", status=307, headers={"Location": f"https://{OTHER_NAME}/image.jpg"})
    async with site.client() as client:
        with pytest.raises(ImageRejected):
            await download(client, file, url=f"https://{NAME}/start.jpg")
    assert (site.names.asked, site.network.connected) == ([NAME, OTHER_NAME], [(PUBLIC, 443)])


async def test_what_was_looked_up_once_is_what_is_connected_to(site: Site, file: BinaryIO) -> None:
    site.names.answers[NAME] = [[PUBLIC], ["127.0.0.1"]]
    async with site.client() as client:
        await download(client, file)
        assert (site.names.asked, site.network.connected) == ([NAME], [(PUBLIC, 443)])
        with pytest.raises(ImageRejected):
            await download(client, file)
    assert (site.names.asked, site.network.connected) == ([NAME, NAME], [(PUBLIC, 443)])


async def test_a_second_try_to_connect_is_checked_again(site: Site, file: BinaryIO) -> None:
    site.network.routes = {}
    site.names.answers[NAME] = [[PUBLIC], ["127.0.0.1"]]
    async with site.client() as client:
        with pytest.raises(ImageRejected):
            await download(client, file)
    assert site.network.connected == [(PUBLIC, 443)]


async def test_the_next_address_is_tried_when_one_does_not_answer(site: Site, file: BinaryIO) -> None:
    site.names.answers[NAME] = [[PUBLIC_6, PUBLIC]]
    async with site.client() as client:
        await download(client, file)
    assert site.network.connected == [(PUBLIC_6, 443), (PUBLIC, 443)]


async def test_a_host_that_cannot_be_reached_is_tried_once_more_and_then_left(site: Site, file: BinaryIO) -> None:
    site.network.routes = {}
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
    assert site.network.connected == [(PUBLIC, 443)] * 2


@pytest.mark.parametrize("addresses", [None, []], ids=["no such name", "no address"])
async def test_a_name_that_leads_nowhere_is_a_passing_failure(
    site: Site, file: BinaryIO, addresses: list[str] | None
) -> None:
    site.names.answers = {} if addresses is None else {NAME: [addresses]}
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
    assert site.network.connected == []


# A server that really listens on this machine, and the resolver and the sockets of this machine


@asynccontextmanager
async def open_canary() -> AsyncIterator[tuple[int, list[object], asyncio.Event]]:
    reached: list[object] = []
    arrived = asyncio.Event()

    def connected(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.append(writer.get_extra_info("peername"))
        arrived.set()
        writer.close()

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1], reached, arrived
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
async def test_what_listens_on_this_machine_is_not_reached(
    monkeypatch: pytest.MonkeyPatch, file: BinaryIO, scheme: str, host: str
) -> None:
    async with open_canary() as (port, reached, arrived), FakeCatalog() as fake:
        _, writer = await asyncio.open_connection(host, port)
        writer.close()
        async with asyncio.timeout(5):
            await arrived.wait()
        for variable in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{port}")
        url = f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}/image.jpg"
        fake.answers["/start.jpg"] = lambda: Answer(302, headers={"Location": url})
        async with open_safe_client(user_agent="Images/1.0", own=httpx.URL(fake.url)) as client:
            for start in (url, f"{fake.url}/start.jpg"):
                with pytest.raises(ImageRejected):
                    await download(client, file, url=start)
        assert len(reached) == 1
        assert len(fake.seen) == 1


async def test_a_name_that_the_system_looks_up_as_loopback_is_not_reached(file: BinaryIO) -> None:
    network = Network({})
    async with open_safe_client(user_agent="Images/1.0", own=None, network=network) as client:
        with pytest.raises(ImageRejected):
            await client.download("https://localhost/image.jpg", file, hosts={"localhost"}, max_bytes=MAX)
    assert network.connected == []


# The operator's own server


async def test_the_operators_own_server_is_fetched_from_wherever_it_is(file: BinaryIO) -> None:
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


async def test_a_host_is_not_trusted_for_another_port_that_the_operator_named(site: Site, file: BinaryIO) -> None:
    site.names.answers[NAME] = [["10.0.0.1"]]
    async with site.client(own=f"http://{NAME}:8000") as client:
        with pytest.raises(ImageRejected):
            await download(client, file)
    assert site.network.connected == []


async def test_the_operators_password_goes_to_the_operators_server_only(site: Site, file: BinaryIO) -> None:
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


async def test_the_certificate_is_asked_for_and_checked_by_name(site: Site, file: BinaryIO) -> None:
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


async def test_a_certificate_of_an_unknown_authority_is_refused(site: Site, file: BinaryIO) -> None:
    async with site.client(tls=httpx.create_ssl_context()) as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)
    assert site.fake.seen == []


# What comes


async def test_the_image_is_written_over_the_file_and_hashed(site: Site, file: BinaryIO) -> None:
    file.write(b"x" * (len(DATA) + 1000))
    file.flush()
    async with site.client() as client:
        assert await download(client, file) == hashlib.sha256(DATA).hexdigest()
    file.seek(0)
    assert file.read() == DATA
    seen = site.fake.seen[0].headers
    assert (seen["user-agent"], seen["accept-encoding"]) == ("Images/1.0 (test)", "identity")


async def test_the_file_is_not_written_on_the_event_loop(
    site: Site, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    threads: set[int] = set()
    pwrite = os.pwrite

    def watched(*args: Any) -> int:
        threads.add(threading.get_ident())
        return pwrite(*args)

    monkeypatch.setattr(os, "pwrite", watched)
    async with site.client() as client:
        await download(client, file)
    assert threads
    assert threading.get_ident() not in threads


@pytest.mark.parametrize("redirects, is_taken", [(3, True), (4, False)])
async def test_three_redirects_are_followed(site: Site, file: BinaryIO, redirects: int, *, is_taken: bool) -> None:
    for n in range(redirects):
        site.answer(f"/{n + 1}", status=301, headers={"Location": f"/{n}" if n else "/image.jpg"})
    async with site.client() as client:
        if is_taken:
            assert await download(client, file, url=f"https://{NAME}/{redirects}") == hashlib.sha256(DATA).hexdigest()
        else:
            with pytest.raises(ImageRejected):
                await download(client, file, url=f"https://{NAME}/{redirects}")


async def test_an_image_of_exactly_the_limit_is_taken(site: Site, file: BinaryIO) -> None:
    async with site.client() as client:
        await download(client, file, max_bytes=len(DATA))


@pytest.mark.parametrize("says_length", [True, False])
async def test_an_image_over_the_limit_is_not_read_to_its_end(site: Site, file: BinaryIO, *, says_length: bool) -> None:
    site.answer("/image.jpg", body=bytes(30_000_000), says_length=says_length)
    async with site.client() as client:
        with pytest.raises(ImageRejected, match="larger than 1,000,000 bytes"):
            await download(client, file)
    size = os.fstat(file.fileno()).st_size
    assert size == 0 if says_length else 0 < size <= MAX


async def test_a_length_that_is_a_lie_does_not_help(site: Site, file: BinaryIO) -> None:
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
async def test_what_an_answer_other_than_an_image_means(
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
async def test_a_wait_that_is_asked_for_is_kept_within_bounds(
    site: Site, file: BinaryIO, value: str, seconds: int | None
) -> None:
    site.answer("/image.jpg", status=503, headers={"Retry-After": value})
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable) as refusal:
            await download(client, file)
    assert refusal.value.retry_after == seconds


@pytest.mark.parametrize(
    "value, bounds",
    [
        ("Wed, 21 Oct 2015 07:28:00 GMT", (1, 1)),
        ("Fri, 31 Dec 2100 23:59:59 GMT", (900, 900)),
        ("Fri, 31 Dec 2100 23:59:59 -0000", (None, None)),
    ],
)
async def test_a_wait_may_be_a_date(site: Site, file: BinaryIO, value: str, bounds: tuple[int, int]) -> None:
    site.answer("/image.jpg", status=503, headers={"Retry-After": value})
    async with site.client() as client:
        with pytest.raises(CatalogUnavailable) as refusal:
            await download(client, file)
    assert refusal.value.retry_after in bounds


async def test_an_image_that_takes_too_long_is_a_passing_failure(
    site: Site, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(safe_download, "_DOWNLOAD_SECONDS", 0.2)
    site.answer("/image.jpg", body=DATA, delay_seconds=60)
    async with asyncio.timeout(5), site.client() as client:
        with pytest.raises(CatalogUnavailable):
            await download(client, file)


async def test_a_full_disk_is_no_fault_of_the_catalogue(
    site: Site, file: BinaryIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: Any) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "pwrite", full)
    async with site.client() as client:
        with pytest.raises(DependencyUnavailable):
            await download(client, file)
