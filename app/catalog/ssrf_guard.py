"""Connections to public addresses only: a name is looked up once, and what was checked is what is connected to."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_MOST_ADDRESSES = 4
"""Tried one after the other; more only make a host that is down take longer."""

# Said here in full, though ipaddress knows most of them: what it calls global has changed between Python releases.
# IANA's special-purpose registries, as of RFC 6890 and later.
_NOT_PUBLIC = tuple(
    ip_network(network)
    for network in (
        "0.0.0.0/8",
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT; also the metadata service of Alibaba Cloud
        "127.0.0.0/8",
        "169.254.0.0/16",  # link-local; the metadata service of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # the metadata service of Oracle Cloud
        "192.0.2.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
        "2001::/23",  # protocol assignments; Teredo carries an IPv4 address
        "2001:db8::/32",
        "2002::/16",  # 6to4 carries an IPv4 address
        "3fff::/20",
    )
)
# Outside of it no host is public: loopback, mapped and compatible IPv4, NAT64 with its IPv4 address, unique local,
# link-local, multicast.
_GLOBAL_UNICAST = ip_network("2000::/3")


class AddressRefused(Exception):
    """The words are for the log, not for the user."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in _GLOBAL_UNICAST):
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Raises OSError."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


class PublicAddressBackend(httpcore.AsyncNetworkBackend):
    """Where httpcore connects: after this it speaks TLS with the name that was asked for, and checks it.

    `exempt` are hosts and ports that the operator named, which may be anywhere.
    """

    def __init__(
        self, inner: httpcore.AsyncNetworkBackend, *, resolver: Resolver, exempt: Collection[tuple[str, int]] = ()
    ) -> None:
        self._inner = inner
        self._resolve = resolver
        self._exempt = frozenset(exempt)

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 # the base class has it
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        if (host, port) in self._exempt:
            return await self._inner.connect_tcp(host, port, timeout, local_address, socket_options)
        failure: Exception = httpcore.ConnectError("the name has no address")
        for address in (await self._checked(host, port, within=timeout))[:_MOST_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _checked(self, host: str, port: int, *, within: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(within):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not looked up in time") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be looked up") from error
        # One that is not public condemns them all: whoever mixes them means to reach it at one try or another.
        for address in addresses:
            if not is_public(ip_address(address)):
                raise AddressRefused(f"{host} has the address {address}")
        return list(dict.fromkeys(addresses))
