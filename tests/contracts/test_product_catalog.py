"""The contract of ProductCatalog, and the requests of OpenFoodFactsCatalog to the fake catalog."""

from __future__ import annotations

import asyncio
import hashlib
import ssl
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO

import httpx
import pytest

from app.catalog import open_food_facts as product_catalog
from app.catalog.circuit_breaker import CircuitBreaker
from app.catalog.open_food_facts import API_HOSTS, IMAGE_HOSTS, OpenFoodFactsCatalog, open_food_facts
from app.catalog.rate_limiter import CatalogRateLimiter
from app.catalog.safe_download import open_safe_client
from app.common.rate_limit import RateLimiter
from app.common.ssrf_guard import AddressRefused
from app.domain.errors import AppError, CatalogUnavailable, ImageRejected, ProductImageMissing, ProductUnknown
from app.domain.images import Source
from app.ports.catalog import ProductCatalog
from app.tables.sqlite import SqliteCounterTable, open_sqlite
from tests import fake_catalog
from tests.contracts.tables import NOON
from tests.fake_catalog import UNKNOWN, UNSTEADY, WITH_IMAGE, WITHOUT_IMAGE, Answer, FakeCatalog, image_path
from tests.network import Authority, Names, Network

USER_AGENT = "Images/1.0 (images@example.com)"
MAX = 10_000_000


@pytest.fixture
async def fake() -> AsyncIterator[FakeCatalog]:
    async with FakeCatalog(slow_seconds=60) as running:
        yield running


class Clock:
    def __init__(self) -> None:
        self.now = NOON
        self.seconds = 0.0

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)
        self.seconds += seconds

    def datetime(self) -> datetime:
        return self.now

    def monotonic(self) -> float:
        return self.seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def counters(tmp_path: Path) -> AsyncIterator[SqliteCounterTable]:
    async with open_sqlite(tmp_path / "service.db") as database:
        yield SqliteCounterTable(database)


def catalog_limiter(counters: SqliteCounterTable, clock: Clock) -> CatalogRateLimiter:
    return CatalogRateLimiter(RateLimiter(counters, key=b"key", clock=clock.datetime))


@pytest.fixture
def limiter(counters: SqliteCounterTable, clock: Clock) -> CatalogRateLimiter:
    return catalog_limiter(counters, clock)


@pytest.fixture
async def catalog(fake: FakeCatalog, limiter: CatalogRateLimiter) -> AsyncIterator[ProductCatalog]:
    async with open_food_facts(fake.url, user_agent=USER_AGENT, limiter=limiter) as opened:
        yield opened


@pytest.fixture
def file(tmp_path: Path) -> Iterable[BinaryIO]:
    with (tmp_path / "image").open("w+b") as opened:
        yield opened


async def refusal(catalog: ProductCatalog, ean: str, *, error: type[AppError] = CatalogUnavailable) -> Any:
    with pytest.raises(error) as raised:
        await catalog.get(ean)
    return raised.value


# Finding


async def test_product_is_found_with_its_attribution(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    product = await catalog.get(WITH_IMAGE)
    assert product.image_url == fake.url + image_path(WITH_IMAGE, "400")
    assert product.source == Source(
        ean=WITH_IMAGE,
        url=f"{fake.url}/product/{WITH_IMAGE}",
        product_name="Hazelnut spread",
        brand="Nutty",
        licence="CC BY-SA 3.0",
        attribution="Photo: Open Food Facts contributors",
    )


async def test_request_follows_the_rules_of_the_catalog(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    await catalog.get(WITH_IMAGE)
    url = httpx.URL(fake.seen[0].path)
    assert url.path == f"/api/v2/product/{WITH_IMAGE}"
    assert url.params["product_type"] == "all"
    assert set(url.params["fields"].split(",")) >= {"code", "product_name", "brands", "image_front_url"}
    assert fake.user_agents == {USER_AGENT}


async def test_unknown_product_differs_from_a_product_without_an_image(catalog: ProductCatalog) -> None:
    await refusal(catalog, UNKNOWN, error=ProductUnknown)
    await refusal(catalog, WITHOUT_IMAGE, error=ProductImageMissing)


async def test_an_unknown_product_may_come_with_status_200(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    fake.answers[WITH_IMAGE] = lambda: Answer(body=b'{"status": 0, "status_verbose": "product not found"}')
    await refusal(catalog, WITH_IMAGE, error=ProductUnknown)


async def test_a_product_of_a_sister_database_is_found_there(catalog: ProductCatalog) -> None:
    product = await catalog.get(fake_catalog.IN_SISTER_DATABASE)
    assert product.source.product_name == "Shampoo"


ENGLAND = "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f"
"""The flag, an emoji with tag characters."""


@pytest.mark.parametrize(
    "fields, name, brand",
    [
        ({"product_name": "  Spread\n\twith\u202e hazel\0nuts \u2028 "}, "Spread with hazelnuts", "Nutty"),
        ({"product_name": "Fish &amp; &quot;chips&quot;"}, 'Fish & "chips"', "Nutty"),
        ({"product_name": "&#0;&#x202e;a"}, "\ufffda", "Nutty"),
        ({"product_name": "\ud800"}, None, "Nutty"),
        ({"product_name": ""}, None, "Nutty"),
        ({"product_name": "", "product_name_fr": "Riz coco"}, "Riz coco", "Nutty"),
        ({"product_name": "", "lang": "fr", "product_name_de": "Reis", "product_name_fr": "Riz"}, "Riz", "Nutty"),
        ({"product_name": " ", "lang": 5, "product_name_de": 5, "product_name_fr": "Riz"}, "Riz", "Nutty"),
        ({"product_name": "Riz", "product_name_fr": "Riz coco"}, "Riz", "Nutty"),
        ({"product_name": ENGLAND + " tea"}, ENGLAND + " tea", "Nutty"),
        ({"product_name": None, "brands": None}, None, None),
        ({"product_name": 5, "brands": ["Nutty"]}, None, None),
        ({"product_name": {"en": "x"}, "brands": ""}, None, None),
        ({"product_name": "é" * 5000, "brands": " , Nutty"}, "é" * 200, None),
        ({"brands": "Müller & Söhne , Nutty"}, "Hazelnut spread", "Müller & Söhne"),
    ],
)
async def test_product_names_are_cleaned(
    catalog: ProductCatalog, fake: FakeCatalog, fields: dict[str, Any], name: str | None, brand: str | None
) -> None:
    fake.answers[WITH_IMAGE] = lambda: fake.product(WITH_IMAGE, **fields)
    source = (await catalog.get(WITH_IMAGE)).source
    assert (source.product_name, source.brand) == (name, brand)


@pytest.mark.parametrize(
    "fields, url",
    [
        ({"selected_images": {"front": {"display": {"fr": "https://x/fr.jpg"}}}}, "https://x/fr.jpg"),
        (
            {"image_front_url": "", "selected_images": {"front": {"display": {"fr": "https://x/fr.jpg"}}}},
            "https://x/fr.jpg",
        ),
        ({"image_front_url": 5}, None),
        ({"selected_images": []}, None),
        ({"selected_images": {"front": {"display": {}}}}, None),
        ({"selected_images": {"front": {"display": {"en": None}}}}, None),
        ({"selected_images": {"ingredients": {"display": {"en": "https://x/i.jpg"}}}}, None),
    ],
)
async def test_front_image_of_the_product_is_used(
    catalog: ProductCatalog, fake: FakeCatalog, fields: dict[str, Any], url: str | None
) -> None:
    fake.answers[WITH_IMAGE] = lambda: fake.product(WITH_IMAGE, image=None, **fields)
    if url is None:
        await refusal(catalog, WITH_IMAGE, error=ProductImageMissing)
    else:
        assert (await catalog.get(WITH_IMAGE)).image_url == url


@pytest.mark.parametrize(
    "ean, retry_after",
    [
        (fake_catalog.THROTTLED, 60),
        (fake_catalog.DOWN, None),
        (fake_catalog.BLOCKED, None),
        (fake_catalog.BROKEN_JSON, None),
        (fake_catalog.ENDLESS, None),
        (fake_catalog.REDIRECTED_AWAY, None),
        (fake_catalog.REDIRECTED_INSIDE, None),
        (fake_catalog.REDIRECTED_FOREVER, None),
    ],
)
async def test_response_without_a_product_is_a_transient_failure(
    catalog: ProductCatalog, ean: str, retry_after: int | None
) -> None:
    error = await refusal(catalog, ean)
    assert (error.retry_after, error.attempted) == (retry_after, True)


@pytest.mark.parametrize(
    "answer",
    [
        Answer(404, b"<h1>No such page</h1>", "text/html"),
        Answer(404, b"{}"),
        Answer(403, b'{"status": 1}'),
        Answer(500, b'{"status": 0}'),
        Answer(body=b""),
        Answer(body=b"[]"),
        Answer(body=b"null"),
        Answer(body=b'{"status": 1}'),
        Answer(body=b'{"status": 1, "product": "yes"}'),
        Answer(body=b"\xff\xfe\x00"),
        Answer(body=b'{"product": ' + b"[" * 100_000),
        Answer(body=b'{"status": ' + b"9" * 10_000 + b"}"),
        Answer(body=b'{"status": 1, "product": {}}', cut_off=True),
        Answer(body=b"\x1f\x8b\x08\x00", headers={"Content-Encoding": "gzip"}),
        Answer(302),
        Answer(302, headers={"Location": "http://["}),
    ],
)
async def test_malformed_response_is_a_transient_failure(
    catalog: ProductCatalog, fake: FakeCatalog, answer: Answer
) -> None:
    fake.answers[WITH_IMAGE] = lambda: answer
    await refusal(catalog, WITH_IMAGE)


async def test_retry_after_of_the_catalog_is_passed_on(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    fake.answers[WITH_IMAGE] = lambda: Answer(429, headers={"Retry-After": "17"})
    assert (await refusal(catalog, WITH_IMAGE)).retry_after == 17


async def test_slow_catalog_times_out(catalog: ProductCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(product_catalog, "_CALL_SECONDS", 0.2)
    async with asyncio.timeout(300):
        await refusal(catalog, fake_catalog.SLOW)


async def test_unreachable_catalog_is_a_transient_failure(limiter: CatalogRateLimiter) -> None:
    async with FakeCatalog() as gone:
        pass
    async with open_food_facts(gone.url, user_agent=USER_AGENT, limiter=limiter) as catalog:
        await refusal(catalog, WITH_IMAGE)


@pytest.mark.parametrize("url", ["", "world.openfoodfacts.org", "ftp://world.openfoodfacts.org", "https://"])
async def test_invalid_base_url_is_rejected_at_startup(limiter: CatalogRateLimiter, url: str) -> None:
    with pytest.raises(ValueError, match="PRODUCT_CATALOG_URL"):
        async with open_food_facts(url, user_agent=USER_AGENT, limiter=limiter):
            pass


@pytest.mark.parametrize("user_agent", ["", " ", "Images/1.0\r\nX: y", "Bilder/1.0 (für alle)"])
async def test_invalid_user_agent_is_rejected_at_startup(limiter: CatalogRateLimiter, user_agent: str) -> None:
    with pytest.raises(ValueError, match="PRODUCT_CATALOG_USER_AGENT"):
        async with open_food_facts("https://world.openfoodfacts.org", user_agent=user_agent, limiter=limiter):
            pass


# Its image


async def test_image_is_downloaded_in_full_size(catalog: ProductCatalog, fake: FakeCatalog, file: BinaryIO) -> None:
    fake.answers[image_path(WITH_IMAGE, "400")] = lambda: Answer(body=b"small", content_type="image/jpeg")
    whole = fake.answers[image_path(WITH_IMAGE, "full")]().body
    product = await catalog.get(WITH_IMAGE)
    assert await catalog.download(product, file, max_bytes=MAX) == hashlib.sha256(whole).hexdigest()
    file.seek(0)
    assert file.read() == whole


@pytest.mark.parametrize("answer", [Answer(404), Answer(body=b"x" * 2000)])
async def test_image_of_400_pixels_is_used_if_the_full_size_fails(
    catalog: ProductCatalog, fake: FakeCatalog, file: BinaryIO, answer: Answer
) -> None:
    fake.answers[image_path(WITH_IMAGE, "full")] = lambda: answer
    fake.answers[image_path(WITH_IMAGE, "400")] = lambda: Answer(body=b"small")
    product = await catalog.get(WITH_IMAGE)
    assert await catalog.download(product, file, max_bytes=1000) == hashlib.sha256(b"small").hexdigest()
    file.seek(0)
    assert file.read() == b"small"


@pytest.mark.parametrize(
    "ean, error",
    [
        (fake_catalog.IMAGE_IS_GONE, ProductImageMissing),
        (fake_catalog.IMAGE_TOO_LARGE, ImageRejected),
        (fake_catalog.IMAGE_REDIRECTED_INSIDE, ImageRejected),
        (fake_catalog.IMAGE_IS_INSIDE, ImageRejected),
        (fake_catalog.IMAGE_IS_DOWN, CatalogUnavailable),
        (fake_catalog.IMAGE_IS_TRUNCATED, CatalogUnavailable),
    ],
)
async def test_image_errors_name_the_reason(
    catalog: ProductCatalog, file: BinaryIO, ean: str, error: type[AppError]
) -> None:
    product = await catalog.get(ean)
    with pytest.raises(error):
        await catalog.download(product, file, max_bytes=MAX)


@pytest.mark.parametrize("ean", [fake_catalog.IMAGE_IS_HTML, fake_catalog.IMAGE_IS_CORRUPT, fake_catalog.IMAGE_IS_SVG])
async def test_content_of_the_image_decides_its_type(catalog: ProductCatalog, file: BinaryIO, ean: str) -> None:
    await catalog.download(await catalog.get(ean), file, max_bytes=MAX)


@pytest.mark.parametrize("host", ["169.254.169.254", "localhost", "world.openfoodfacts.org", "example.com"])
async def test_image_on_an_unknown_host_is_rejected(catalog: ProductCatalog, file: BinaryIO, host: str) -> None:
    product = replace(await catalog.get(WITH_IMAGE), image_url=f"https://{host}/front.400.jpg")
    with pytest.raises(ImageRejected):
        await catalog.download(product, file, max_bytes=MAX)


# Responses are cached


async def test_response_is_cached(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    for _ in range(3):
        await catalog.get(WITH_IMAGE)
        await refusal(catalog, UNKNOWN, error=ProductUnknown)
        await refusal(catalog, WITHOUT_IMAGE, error=ProductImageMissing)
    assert [fake.asked(ean) for ean in (WITH_IMAGE, UNKNOWN, WITHOUT_IMAGE)] == [1, 1, 1]


async def test_concurrent_lookups_send_one_request(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    products = await asyncio.gather(*(catalog.get(WITH_IMAGE) for _ in range(20)))
    assert products == [products[0]] * 20
    assert fake.asked(WITH_IMAGE) == 1


async def test_canceled_caller_does_not_cancel_the_others(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    asked = asyncio.Event()

    def answer() -> Answer:
        asked.set()
        return replace(fake.product(WITH_IMAGE), delay_seconds=0.1)

    fake.answers[WITH_IMAGE] = answer
    first = asyncio.create_task(catalog.get(WITH_IMAGE))
    second = asyncio.create_task(catalog.get(WITH_IMAGE))
    async with asyncio.timeout(300):
        await asked.wait()
    first.cancel()
    assert (await second).source.ean == WITH_IMAGE


async def test_failure_is_not_cached(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    await refusal(catalog, UNSTEADY)
    assert (await catalog.get(UNSTEADY)).source.ean == UNSTEADY


# The limit that all workers share


async def test_the_limit_is_shared_by_all_workers(
    fake: FakeCatalog, counters: SqliteCounterTable, clock: Clock
) -> None:
    def opened() -> Any:
        limiter = catalog_limiter(counters, clock)
        return open_food_facts(fake.url, user_agent=USER_AGENT, limiter=limiter)

    async with opened() as one, opened() as another:
        for n in range(15):
            await refusal((one, another)[n % 2], f"210000000{n:04}", error=ProductUnknown)
        for worker in (one, another):
            error = await refusal(worker, WITH_IMAGE)
            assert not error.attempted
            assert 60 <= error.retry_after <= 70
        assert len(fake.seen) == 15
        clock.advance(60)
        assert (await one.get(WITH_IMAGE)).source.ean == WITH_IMAGE


async def test_cached_response_does_not_count_against_the_rate_limit(catalog: ProductCatalog) -> None:
    for _ in range(40):
        await catalog.get(WITH_IMAGE)


async def test_rate_limit_error_has_retry_after(limiter: CatalogRateLimiter) -> None:
    for _ in range(15):
        await limiter.acquire("world.openfoodfacts.org")
    waits = []
    for _ in range(300):
        with pytest.raises(CatalogUnavailable) as raised:
            await limiter.acquire("world.openfoodfacts.org")
        assert raised.value.retry_after
        assert not raised.value.attempted
        waits.append(raised.value.retry_after)
    for n, wait in enumerate(waits):
        window = 60 * (1 + n // 15)
        assert min(window, 890) <= wait <= min(window + 10, 900)


async def test_each_host_has_its_own_limit(limiter: CatalogRateLimiter) -> None:
    for _ in range(15):
        await limiter.acquire("world.openfoodfacts.org")
    await limiter.acquire("world.openbeautyfacts.org")
    with pytest.raises(CatalogUnavailable):
        await limiter.acquire("world.openfoodfacts.org")


# The circuit breaker


@asynccontextmanager
async def open_guarded(
    fake: FakeCatalog, limiter: CatalogRateLimiter, clock: Clock
) -> AsyncIterator[OpenFoodFactsCatalog]:
    url = httpx.URL(fake.url)
    async with open_safe_client(user_agent=USER_AGENT, own=url) as client:
        yield OpenFoodFactsCatalog(
            client,
            base_url=url,
            limiter=limiter,
            breaker=CircuitBreaker(clock=clock.monotonic),
            api_hosts=(),
            image_hosts=(),
        )


async def test_circuit_opens_after_five_consecutive_failures_and_allows_one_probe(
    fake: FakeCatalog, limiter: CatalogRateLimiter, clock: Clock
) -> None:
    async with open_guarded(fake, limiter, clock) as catalog:
        for _ in range(5):
            assert (await refusal(catalog, fake_catalog.DOWN)).attempted
        clock.advance(10)
        error = await refusal(catalog, WITH_IMAGE)
        assert (error.attempted, error.retry_after, fake.asked(WITH_IMAGE)) == (False, 20, 0)
        clock.advance(20)
        assert (await refusal(catalog, fake_catalog.DOWN)).attempted
        assert not (await refusal(catalog, WITH_IMAGE)).attempted
        clock.advance(30)
        assert (await catalog.get(WITH_IMAGE)).source.ean == WITH_IMAGE
        assert (await refusal(catalog, fake_catalog.DOWN)).attempted


async def test_successful_response_resets_the_failure_count(
    fake: FakeCatalog, limiter: CatalogRateLimiter, clock: Clock
) -> None:
    async with open_guarded(fake, limiter, clock) as catalog:
        for _ in range(4):
            await refusal(catalog, fake_catalog.DOWN)
        await refusal(catalog, UNKNOWN, error=ProductUnknown)
        for _ in range(4):
            await refusal(catalog, fake_catalog.DOWN)
        assert (await catalog.get(WITH_IMAGE)).source.ean == WITH_IMAGE


async def test_waiting_for_the_rate_limit_is_not_a_failure(
    fake: FakeCatalog, limiter: CatalogRateLimiter, clock: Clock
) -> None:
    async with open_guarded(fake, limiter, clock) as catalog:
        for _ in range(15):
            await limiter.acquire(httpx.URL(fake.url).netloc.decode())
        for _ in range(10):
            assert (await refusal(catalog, WITH_IMAGE)).retry_after >= 60
        clock.advance(60)
        assert (await catalog.get(WITH_IMAGE)).source.ean == WITH_IMAGE


def test_probe_without_a_result_is_followed_by_another() -> None:
    clock = Clock()
    breaker = CircuitBreaker(failures=1, open_seconds=30, clock=clock.monotonic)
    breaker.failed()
    clock.advance(30)
    assert (breaker.try_enter(), breaker.try_enter()) == (0, 30)
    clock.advance(30)
    assert breaker.try_enter() == 0
    breaker.succeeded()
    assert (breaker.try_enter(), breaker.try_enter()) == (0, 0)


# The real hosts, in a simulated network

FOOD, BEAUTY = "world.openfoodfacts.org", "world.openbeautyfacts.org"
ADDRESS = "93.184.215.14"


@asynccontextmanager
async def open_real(
    fake: FakeCatalog, limiter: CatalogRateLimiter, folder: Path
) -> AsyncIterator[tuple[OpenFoodFactsCatalog, Network]]:
    authority, served = Authority(folder), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    names = [*API_HOSTS, *IMAGE_HOSTS]
    served.load_cert_chain(authority.certificate(*names))
    server = await asyncio.start_server(fake._connected, "127.0.0.1", 0, ssl=served)
    network = Network({ADDRESS: server.sockets[0].getsockname()[1]})
    async with open_safe_client(
        user_agent=USER_AGENT,
        own=None,
        tls=ssl.create_default_context(cafile=authority.path),
        resolver=Names({name: [[ADDRESS]] for name in names}),
        network=network,
    ) as client:
        yield (
            OpenFoodFactsCatalog(
                client,
                base_url=httpx.URL(f"https://{FOOD}"),
                limiter=limiter,
                breaker=CircuitBreaker(),
                api_hosts=API_HOSTS,
                image_hosts=IMAGE_HOSTS,
            ),
            network,
        )
    server.close()


async def test_a_redirect_to_a_sister_database_is_followed_and_named(
    fake: FakeCatalog, limiter: CatalogRateLimiter, tmp_path: Path, file: BinaryIO
) -> None:
    ean = WITH_IMAGE
    image = f"https://images.openbeautyfacts.org{image_path(ean, '400')}"
    location = f"https://{BEAUTY}/sister/api/v2/product/{ean}?product_type=all"
    fake.answers[ean] = lambda: Answer(302, headers={"Location": location})
    fake.answers[f"/sister/api/v2/product/{ean}"] = lambda: fake.product(ean, image=image)
    async with open_real(fake, limiter, tmp_path) as (catalog, _):
        product = await catalog.get(ean)
        await catalog.download(product, file, max_bytes=MAX)
    assert product.source.url == f"https://{BEAUTY}/product/{ean}"
    assert product.source.attribution == "Photo: Open Beauty Facts contributors"
    assert [seen.headers["host"] for seen in fake.seen] == [FOOD, BEAUTY, "images.openbeautyfacts.org"]


@pytest.mark.parametrize(
    "location",
    [
        f"http://{BEAUTY}/api/v2/product/1",
        f"https://{BEAUTY}:8443/api/v2/product/1",
        "https://images.openfoodfacts.org/api/v2/product/1",
        "https://example.com/",
        fake_catalog.INSIDE,
    ],
)
async def test_redirect_to_another_host_is_not_followed(
    fake: FakeCatalog, limiter: CatalogRateLimiter, tmp_path: Path, location: str
) -> None:
    fake.answers[WITH_IMAGE] = lambda: Answer(302, headers={"Location": location})
    async with open_real(fake, limiter, tmp_path) as (catalog, network):
        await refusal(catalog, WITH_IMAGE)
    assert network.connected == [(ADDRESS, 443)]


async def test_custom_catalog_does_not_redirect_to_other_hosts(catalog: ProductCatalog, fake: FakeCatalog) -> None:
    fake.answers[WITH_IMAGE] = lambda: Answer(302, headers={"Location": f"https://{BEAUTY}/api/v2/product/1"})
    assert isinstance((await refusal(catalog, WITH_IMAGE)).__cause__, AddressRefused)


def test_allowed_hosts_are_the_four_databases() -> None:
    databases = ("openfoodfacts", "openbeautyfacts", "openpetfoodfacts", "openproductsfacts")
    assert {f"world.{name}.org" for name in databases} == API_HOSTS
    assert {f"images.{name}.org" for name in databases} == IMAGE_HOSTS
