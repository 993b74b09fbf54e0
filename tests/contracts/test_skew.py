"""A machine whose clock is wrong by ten minutes: all times that other machines compare are nevertheless correct."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import time_machine
from pydantic import SecretStr

from app.auth.invitations import Invitations
from app.auth.local_auth import LocalAuth, open_local_auth
from app.common.rate_limit import RateLimiter
from app.container.backends import Tables, open_dynamodb_tables, open_s3_storage
from app.domain.errors import TokenExpired
from app.domain.ids import new_id
from app.domain.jobs import Job
from app.ports.clock import Clock
from app.ports.storage import ObjectStore
from app.settings import Settings
from tests.aws_emulators import AwsEmulator

SKEWS = [timedelta(minutes=10), -timedelta(minutes=10)]
TTL, WINDOW = timedelta(hours=1), timedelta(minutes=15)
SECONDS = timedelta(seconds=30)
"""Longer than a call may take, and much shorter than the skew."""


@pytest.fixture
def true_time() -> Clock:
    began, counted = datetime.now(UTC), time.monotonic()
    return lambda: began + timedelta(seconds=time.monotonic() - counted)


@dataclass(frozen=True)
class Backends:
    store: ObjectStore
    tables: Tables


@pytest.fixture(params=SKEWS, ids=["ahead", "behind"])
async def backends(
    request: pytest.FixtureRequest, true_time: Clock, aws: AwsEmulator, tmp_path: Path
) -> AsyncIterator[Backends]:
    """Open the adapters on a machine whose clock is wrong. Their requests are signed with the wrong time, too."""
    if aws.name == "ministack":
        pytest.skip("like AWS it refuses requests that are signed ten minutes off")
    settings = Settings(
        _env_file=None,  # type: ignore[call-arg]
        data_dir=tmp_path,
        backend="aws",
        environment="development",
        aws_access_key_id="test",
        aws_secret_access_key=SecretStr("test"),
        aws_default_region=aws.region,
        s3_bucket=aws.bucket,
        dynamodb_table_name=aws.table,
        localstack_endpoint_url=aws.url,
    )
    with time_machine.travel(true_time() + request.param, tick=True):
        async with open_s3_storage(settings) as storage, open_dynamodb_tables(settings) as tables:
            await storage.store.check()
            await tables.images.check()
            assert abs(datetime.now(UTC) - true_time()) > timedelta(minutes=9)
            yield Backends(storage.store, tables)


async def test_store_and_tables_return_the_true_time(backends: Backends, true_time: Clock):
    assert abs(backends.tables.clock() - true_time()) < SECONDS
    assert abs(await backends.store.now() - true_time()) < SECONDS


async def test_signed_url_is_valid_from_now_for_its_whole_lifetime(backends: Backends, true_time: Clock):
    signed = await backends.store.sign_url("images/ada/a/original.jpg")
    assert true_time() + TTL - SECONDS < signed.expires_at < true_time() + TTL + WINDOW + SECONDS
    (signed_at,) = re.findall(r"X-Amz-Date=(\w+)", signed.url)
    assert datetime.strptime(signed_at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC) < true_time() + SECONDS


async def test_form_has_the_current_date(backends: Backends, true_time: Clock):
    form = await backends.store.presign_post(
        "incoming/ada/a", content_type="image/jpeg", size=5, sha256=None, expires_at=backends.tables.clock() + TTL
    )
    assert abs(form.expires_at - true_time() - TTL) < SECONDS
    signed_at = datetime.strptime(form.fields["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    assert abs(signed_at - true_time()) < SECONDS


async def test_access_tokens_are_valid_on_every_machine_for_their_lifetime(backends: Backends, true_time: Clock):
    tables = backends.tables

    def open_accounts(clock: Clock) -> AbstractAsyncContextManager[LocalAuth]:
        limiter = RateLimiter(tables.counters, key=b"k" * 32, clock=clock)
        return open_local_auth(
            tables.accounts,
            limiter=limiter,
            invitations=Invitations(tables.counters, secret_key="s" * 32, clock=clock),
            registration="open",
            secret_key="s" * 32,
            access_token_seconds=1800,
            clock=clock,
        )

    async with open_accounts(tables.clock) as wrong_auth, open_accounts(true_time) as right_auth:
        person = {"email": f"{new_id()}@example.com", "password": "a long enough passphrase"}
        wrong, right = wrong_auth.accounts, right_auth.accounts
        _, tokens = await wrong.register(**person, display_name=None, client="198.51.100.7")
        user = await right.authenticate(tokens.access_token)
        assert (await wrong.authenticate((await right.sign_in(**person, client="x")).access_token)).id == user.id
        assert await wrong.authenticate((await wrong.refresh(tokens.refresh_token)).access_token) == user
        async with open_accounts(lambda: true_time() + timedelta(minutes=30, seconds=31)) as half_an_hour_later:
            with pytest.raises(TokenExpired):
                await half_an_hour_later.accounts.authenticate(tokens.access_token)


async def test_new_job_is_due_immediately_and_a_claimed_job_after_its_lease(backends: Backends, true_time: Clock):
    owner = f"owner-{new_id()}"
    now = true_time()
    job = Job(new_id(), owner, "fetch", now, now, now)
    await backends.tables.jobs.add_job(job)
    lease = {"lease_until": true_time() + timedelta(minutes=1)}
    wait_for_the_second_to_pass(backends.tables.clock, now)
    assert await backends.tables.jobs.claim_job(owner, job.id, claim=new_id(), now=backends.tables.clock(), **lease)
    assert (
        await backends.tables.jobs.claim_job(owner, job.id, claim=new_id(), now=backends.tables.clock(), **lease)
        is None
    )


def wait_for_the_second_to_pass(clock: Clock, moment: datetime) -> None:
    """Wait until the next whole second, because a server returns its time in whole seconds."""
    deadline = time.monotonic() + 10
    while clock() < moment:
        assert time.monotonic() < deadline
        time.sleep(0.05)


async def test_rate_limit_windows_are_the_same_on_all_machines(backends: Backends, true_time: Clock):
    purpose = new_id()
    for clock in (true_time, backends.tables.clock, true_time):
        now = clock()
        counted = await backends.tables.counters.increment(purpose, now=now, window_seconds=300)
    assert counted.count == 3
