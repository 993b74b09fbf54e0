"""The time by a server's clock, whatever this machine's clock shows."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from app.adapters import server_clock
from app.adapters.server_clock import ServerClock

SKEWS = [timedelta(minutes=10), -timedelta(minutes=10), timedelta(days=400), timedelta()]
NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Machine:
    """A machine whose two clocks a test can turn."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.wall = NOON
        self.counted = 1000.0
        machine = self

        class Now(datetime):
            @classmethod
            def now(cls, tz: object = None) -> datetime:  # type: ignore[override]
                return machine.wall

        monkeypatch.setattr(server_clock, "datetime", Now)
        monkeypatch.setattr(time, "monotonic", lambda: self.counted)

    def pass_time(self, seconds: float) -> None:
        self.wall += timedelta(seconds=seconds)
        self.counted += seconds


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    return Machine(monkeypatch)


def date(moment: datetime) -> str:
    return format_datetime(moment.replace(microsecond=0), usegmt=True)


def test_before_any_response_it_is_this_machines_time(machine: Machine):
    assert ServerClock()() == NOON


@pytest.mark.parametrize("skew", SKEWS)
def test_it_is_the_servers_time_whatever_this_machine_shows(machine: Machine, skew: timedelta):
    clock = ServerClock()
    clock.observe(date(NOON + skew))
    assert clock() == NOON + skew
    machine.pass_time(3600)
    assert clock() == NOON + skew + timedelta(hours=1)


def test_of_dates_in_whole_seconds_the_latest_moment_counts(machine: Machine):
    clock, server = ServerClock(), NOON + timedelta(minutes=10, milliseconds=300)
    for _ in range(9):
        clock.observe(date(server))
        machine.pass_time(1.1)
        server += timedelta(seconds=1.1)
    clock.observe(date(server))
    assert timedelta() <= server - clock() < timedelta(seconds=0.2)


def test_a_server_whose_clock_was_set_is_believed_at_once(machine: Machine):
    clock = ServerClock()
    clock.observe(date(NOON))
    clock.observe(date(NOON - timedelta(hours=2)))
    assert clock() == NOON - timedelta(hours=2)


@pytest.mark.parametrize("jump", [timedelta(minutes=10), -timedelta(minutes=10)])
def test_a_jump_of_this_machines_clock_lasts_until_the_next_response(machine: Machine, jump: timedelta):
    clock = ServerClock()
    clock.observe(date(NOON))
    machine.wall += jump
    clock.observe(date(NOON))
    assert clock() == NOON


def test_after_a_suspension_the_time_has_gone_on(machine: Machine):
    clock = ServerClock()
    clock.observe(date(NOON))
    machine.wall += timedelta(hours=8)
    assert clock() == NOON + timedelta(hours=8)


@pytest.mark.parametrize("text", ["", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_what_is_no_date_changes_nothing(machine: Machine, text: str):
    clock = ServerClock()
    clock.observe(date(NOON + timedelta(minutes=5)))
    clock.observe(text)
    assert clock() == NOON + timedelta(minutes=5)
