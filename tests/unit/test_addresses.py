"""Tests of network addresses: which are this machine, and what rate limits count by."""

from __future__ import annotations

import pytest

from app.domain.addresses import is_loopback, throttling_key


@pytest.mark.parametrize(
    "host,expected",
    [
        ("127.0.0.1", True),
        ("127.8.9.1", True),
        ("::1", True),
        ("[::1]", True),
        ("::ffff:127.0.0.1", True),
        ("localhost", True),
        ("LOCALHOST", True),
        ("0.0.0.0", False),  # noqa: S104 - nothing is bound
        ("::", False),
        ("192.168.1.2", False),
        ("::ffff:192.168.1.2", False),
        ("localhost.example.com", False),
        ("", False),
    ],
)
def test_loopback_addresses_are_recognized(host: str, *, expected: bool):
    assert is_loopback(host) == expected


@pytest.mark.parametrize(
    "host,expected",
    [
        ("192.0.2.1", "192.0.2.1"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::", "2001:db8:1:2::/64"),
        ("2001:db8:1:3::", "2001:db8:1:3::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("testclient", "testclient"),
    ],
)
def test_rate_limits_count_ipv6_addresses_by_their_network(host: str, expected: str):
    assert throttling_key(host) == expected
