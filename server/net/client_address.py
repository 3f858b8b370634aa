"""The client's address behind trusted proxies, and the network that limits count it under."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from ipaddress import IPv4Network, IPv6Network

MAX_FORWARDED_HOPS = 16  # hops of X-Forwarded-For that are read: nobody has more proxies in a row
IPV6_PREFIX_BITS = 64  # one customer's network (RFC 6177): a limit per address of it would limit nobody


def client_address(peer: str, forwarded_for: str, trusted: Sequence[IPv4Network | IPv6Network]) -> str:
    """The client's address: the right-most hop of `X-Forwarded-For` that is not a trusted proxy.

    A hop is believed only if the proxy that wrote it is trusted; the client may have written everything to its left.
    """
    address = _parsed(peer)
    if address is None or not _is_trusted(address, trusted):
        return str(address or peer)
    for hop in reversed(forwarded_for.split(",")[-MAX_FORWARDED_HOPS:]):
        nearer = _parsed(hop)
        if nearer is None:
            break
        address = nearer
        if not _is_trusted(address, trusted):
            break
    return str(address)


def address_key(address: str) -> str:
    """The key that limits count an address under: the address itself, or the /64 network of an IPv6 address."""
    parsed = _parsed(address)
    if isinstance(parsed, IPv6Address):
        host_bits = 128 - IPV6_PREFIX_BITS
        return f"{IPv6Address(int(parsed) >> host_bits << host_bits)}/{IPV6_PREFIX_BITS}"
    return address


def _parsed(text: str) -> IPv4Address | IPv6Address | None:
    """An address as written by proxies: bare, `a.b.c.d:port` or `[v6]:port`. IPv4 mapped into IPv6 counts as IPv4."""
    bare = text.strip().strip('"')
    if bare.startswith("["):
        bare = bare[1:].partition("]")[0]
    elif bare.count(":") == 1:
        bare = bare.partition(":")[0]
    try:
        address = ip_address(bare.partition("%")[0])
    except ValueError:
        return None
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _is_trusted(address: IPv4Address | IPv6Address, trusted: Sequence[IPv4Network | IPv6Network]) -> bool:
    return any(address in network for network in trusted)
