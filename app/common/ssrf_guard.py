"""Allows connections to public addresses only. A name is resolved once, and the connection uses the checked address."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import httpcore

Resolver = Callable[[str, int], Awaitable[Sequence[str]]]

_MAX_ADDRESSES = 4
"""Addresses are tried one after another. With more of them, a host that is down would take longer to fail."""

# The complete list, because the definition of `is_global` in ipaddress has changed between Python releases. From IANA's
# special-purpose address registries (RFC 6890 and later).
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
# No address outside this network is public: loopback, IPv4-mapped and IPv4-compatible addresses, NAT64, unique local,
# link-local, multicast.
_GLOBAL_UNICAST = ip_network("2000::/3")


class AddressRefused(Exception):
    """The message is for the log, not for the user."""


def is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.scope_id is not None or address not in _GLOBAL_UNICAST):
        return False
    return address.is_global and not any(address in network for network in _NOT_PUBLIC)


async def resolve(host: str, port: int) -> Sequence[str]:
    """Return the addresses of the host. Raises OSError."""
    infos = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in infos]


class PublicAddressBackend(httpcore.AsyncNetworkBackend):
    """Connects httpcore to checked addresses. Afterwards httpcore verifies the certificate of the requested name.

    `exempt` are hosts and ports of the operator, which may have any address.
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
        for address in (await self._resolve_public(host, port, timeout_seconds=timeout))[:_MAX_ADDRESSES]:
            try:
                return await self._inner.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._inner.sleep(seconds)

    async def _resolve_public(self, host: str, port: int, *, timeout_seconds: float | None) -> Sequence[str]:
        try:
            async with asyncio.timeout(timeout_seconds):
                addresses = await self._resolve(host, port)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout(f"{host} was not resolved in time") from error
        except OSError as error:
            raise httpcore.ConnectError(f"{host} cannot be resolved") from error
        # One private address suffices to refuse all of them: a mixture indicates an attempt to reach the private one.
        for address in addresses:
            if not is_public(ip_address(address)):
                raise AddressRefused(f"{host} has the address {address}")
        return list(dict.fromkeys(addresses))
