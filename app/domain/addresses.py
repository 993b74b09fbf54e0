"""Network addresses of clients and servers."""

from __future__ import annotations

import functools
from ipaddress import IPv6Address, IPv6Network, ip_address

_LOCALHOST = "localhost"
_IPV6_NETWORK_BITS = 64
"""The part of an IPv6 address that a provider assigns: one client may use every address with this prefix."""


@functools.lru_cache(maxsize=32)
def is_loopback(host: str) -> bool:
    """Return whether the host is this machine, as seen from itself."""
    try:
        address = ip_address(host.strip("[]"))
    except ValueError:
        return host.lower() == _LOCALHOST
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback


def throttling_key(host: str) -> str:
    """Return what rate limits count by: an IPv4 address, or the /64 network of an IPv6 address."""
    try:
        address = ip_address(host)
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(IPv6Network((int(address), _IPV6_NETWORK_BITS), strict=False))
