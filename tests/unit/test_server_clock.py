"""Tests of the clock that follows the `Date` headers of a server."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from email.utils import format_datetime

import pytest

from app.common import server_clock
from app.common.server_clock import ServerClock
from tests.unit.clock import NOON

SKEWS = [timedelta(minutes=10), -timedelta(minutes=10), timedelta(days=400), timedelta()]


class Machine:
    """Replaces the two clocks of this machine, so that a test can set them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = NOON
        self.monotonic = 1000.0
        machine = self

        class Now(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return machine.wall

        monkeypatch.setattr(server_clock, "datetime", Now)
        monkeypatch.setattr(time, "monotonic", lambda: self.monotonic)

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.monotonic += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def date(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)


def test_before_the_first_response_the_time_is_that_of_this_machine(machine: Machine):
    assert ServerClock()() == NOON


@pytest.mark.parametrize("skew", SKEWS)
def test_after_a_response_the_time_is_that_of_the_server(machine: Machine, skew: timedelta):
    clock = ServerClock()
    clock.observe(date(NOON + skew))
    assert clock() == NOON + skew
    machine.pass_time(3600)
    assert clock() == NOON + skew + timedelta(hours=1)


def test_the_latest_of_several_dates_in_whole_seconds_is_used(machine: Machine):
    clock, server = ServerClock(), NOON + timedelta(minutes=10, milliseconds=300)
    for _ in range(9):
        clock.observe(date(server))
        machine.pass_time(1.1)
        server += timedelta(seconds=1.1)
    clock.observe(date(server))
    assert timedelta() <= server - clock() < timedelta(seconds=0.2)


def test_a_change_of_the_servers_clock_takes_effect_immediately(machine: Machine):
    clock = ServerClock()
    clock.observe(date(NOON))
    clock.observe(date(NOON - timedelta(hours=2)))
    assert clock() == NOON - timedelta(hours=2)


@pytest.mark.parametrize("jump", [timedelta(minutes=10), -timedelta(minutes=10)])
def test_a_change_of_this_machines_clock_has_no_effect_after_the_next_response(machine: Machine, jump: timedelta):
    clock = ServerClock()
    clock.observe(date(NOON))
    machine.wall += jump
    clock.observe(date(NOON))
    assert clock() == NOON


def test_the_time_of_a_suspension_is_included(machine: Machine):
    clock = ServerClock()
    clock.observe(date(NOON))
    machine.wall += timedelta(hours=8)
    assert clock() == NOON + timedelta(hours=8)


@pytest.mark.parametrize("text", ["", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_an_invalid_date_is_ignored(machine: Machine, text: str):
    clock = ServerClock()
    clock.observe(date(NOON + timedelta(minutes=5)))
    clock.observe(text)
    assert clock() == NOON + timedelta(minutes=5)
