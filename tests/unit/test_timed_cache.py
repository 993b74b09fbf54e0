"""Answers are kept for a time, and no more of them than a number."""

from __future__ import annotations

from app.adapters.timed_cache import TimedCache


def test_a_value_is_kept_until_its_time_is_over() -> None:
    now = [0.0]
    cache: TimedCache[str] = TimedCache(max_entries=10, clock=lambda: now[0])
    cache.put("a", "1", seconds=60)
    now[0] = 59.9
    assert cache.get("a") == "1"
    now[0] = 60
    assert cache.get("a") is None


def test_the_oldest_gives_way_when_there_are_too_many() -> None:
    cache: TimedCache[str] = TimedCache(max_entries=2, clock=lambda: 0.0)
    cache.put("a", "1", seconds=60)
    cache.put("b", "2", seconds=60)
    cache.put("a", "3", seconds=60)
    cache.put("c", "4", seconds=60)
    assert [cache.get(key) for key in "abc"] == ["3", None, "4"]
