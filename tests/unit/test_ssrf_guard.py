"""Tests of the network backend that connects to public addresses only. test_safe_download.py tests it with HTTP."""

from __future__ import annotations

import asyncio
import ipaddress
from collections.abc import Sequence

import httpcore
import pytest

from app.common.ssrf_guard import AddressRefused, PublicAddressBackend, is_public
from tests.network import Names, Network
from tests.unit.addresses import NOT_PUBLIC, PUBLIC, PUBLIC_6

NAME = "images.example.com"


@pytest.mark.parametrize("address", NOT_PUBLIC.values(), ids=NOT_PUBLIC.keys())
def test_special_addresses_are_not_public(address: str) -> None:
    assert not is_public(ipaddress.ip_address(address))


@pytest.mark.parametrize(
    "address", [PUBLIC, PUBLIC_6, "1.1.1.1", "100.63.255.255", "100.128.0.0", "172.32.0.1", "2a00::1"]
)
def test_other_addresses_are_public(address: str) -> None:
    assert is_public(ipaddress.ip_address(address))


def make_backend(network: Network, *addresses: str, exempt: Sequence[tuple[str, int]] = ()) -> PublicAddressBackend:
    return PublicAddressBackend(network, resolver=Names({NAME: [addresses]}), exempt=exempt)


async def test_no_more_than_four_addresses_are_tried() -> None:
    network = Network({})
    addresses = [f"1.1.1.{n}" for n in range(9)]
    with pytest.raises(httpcore.ConnectError):
        await make_backend(network, *addresses).connect_tcp(NAME, 443)
    assert network.connected == [(address, 443) for address in addresses[:4]]


async def test_an_address_that_occurs_twice_is_tried_once() -> None:
    network = Network({})
    with pytest.raises(httpcore.ConnectError):
        await make_backend(network, PUBLIC, PUBLIC, PUBLIC_6).connect_tcp(NAME, 443)
    assert network.connected == [(PUBLIC, 443), (PUBLIC_6, 443)]


async def test_one_address_that_is_not_public_is_enough_to_refuse_the_name() -> None:
    network = Network({})
    with pytest.raises(AddressRefused):
        await make_backend(network, PUBLIC, "10.0.0.1").connect_tcp(NAME, 443)
    assert network.connected == []


async def test_an_exempt_host_is_exempt_on_its_port_only() -> None:
    network = Network({})
    backend = make_backend(network, "10.0.0.1", exempt=[(NAME, 8000)])
    with pytest.raises(httpcore.ConnectError):
        await backend.connect_tcp(NAME, 8000)
    with pytest.raises(AddressRefused):
        await backend.connect_tcp(NAME, 443)
    assert network.connected == [(NAME, 8000)]


async def test_a_lookup_that_takes_too_long_is_a_timeout() -> None:
    async def resolve_never(host: str, port: int) -> Sequence[str]:
        await asyncio.Event().wait()
        return []

    backend = PublicAddressBackend(Network({}), resolver=resolve_never)
    with pytest.raises(httpcore.ConnectTimeout):
        await backend.connect_tcp(NAME, 443, timeout=0.01)
