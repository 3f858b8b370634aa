"""Whether an address is a neighbour's: on this machine's own network, where no router is on the way.

Such an address may be public, as those of IPv6 mostly are. Linux is asked for the route to each address, so the answer is that of
now and follows all its tables and rules. What a tunnel leads to is no neighbour, except for the tunnel's own prefix. Other systems
are not asked: there, only private addresses and the machine's own count as its network. Nor does anybody know which public networks
behind a router belong to the same owner.

A sandbox may refuse the question (gVisor answers only some, and a filter of system calls none). Then the tables below /proc tell the
networks of this machine's interfaces, and all of them are neighbours, whatever other routes and rules say. Without these tables, too,
nothing is known, and all is closed.
"""

from __future__ import annotations

import os
import socket
import struct
import sys
from dataclasses import dataclass
from errno import EHOSTUNREACH, ENETUNREACH, ENODEV, ESRCH
from ipaddress import IPv4Address, IPv6Address, IPv6Network
from pathlib import Path

from server.embedded.service import MissingPartError

# rtnetlink(7), with the numbers of linux/rtnetlink.h, linux/netlink.h and linux/if.h
_HEADER, _ROUTE, _LINK, _ATTRIBUTE = (struct.Struct(form) for form in ("=IHHII", "=BBBBBBBBI", "=BxHiII", "=HH"))
_NUMBER = struct.Struct("=i")
_GET_LINK, _GET_ROUTE, _ERROR, _REQUEST = 18, 26, 2, 1
_DESTINATION, _OUT, _GATEWAY, _VIA = 1, 4, 5, 18
_FIB_MATCH = 0x2000  # the entry of the table, in place of what follows from it for the address
_UNICAST = 1
_BY_PREFIX = frozenset({2, 9})  # the kernel's, of an interface's own prefix, and a router advertisement's
_NOBODY_BESIDE = 0x10 | 0x80  # IFF_POINTOPOINT, IFF_NOARP: ppp, tun, WireGuard and other tunnels
_ANSWER_BYTES = 32 * 1024
_NO_WAY = frozenset({ENETUNREACH, EHOSTUNREACH, ENODEV, ESRCH})  # an answer; other errors say that there is none
# proc_net(5): routes of IPv4, as in linux/route.h, and addresses of IPv6 with their prefixes
_ROUTES, _ADDRESSES, _LINKS = Path("/proc/net/route"), Path("/proc/net/if_inet6"), Path("/sys/class/net")
_THROUGH_ROUTER = 2  # RTF_GATEWAY


@dataclass(frozen=True, slots=True)
class Route:
    """What the kernel says of the way to an address."""

    prefix_bits: int
    protocol: int
    kind: int
    out: int  # index of the interface
    through_router: bool


def check_routes() -> None:
    """Check that the routes can be read. Raises MissingPartError."""
    try:
        is_neighbour(IPv6Address("::1"))
    except OSError as error:
        raise MissingPartError(
            f"the routes of this machine cannot be read (by AF_NETLINK or in /proc/net: {error.strerror}), which tell its network from the internet"
        ) from None


def is_neighbour(address: IPv4Address | IPv6Address) -> bool:
    """True if no router is on the way to it. Raises OSError if the routes cannot be read."""
    family = getattr(socket, "AF_NETLINK", None)
    if family is None:
        return False
    try:
        with socket.socket(family, socket.SOCK_RAW, 0) as kernel:
            kernel.setblocking(False)  # Linux has answered when the question is sent; others may never
            return _is_beside(kernel, address)
    except OSError:
        return _is_in_a_network(address)


def _is_beside(kernel: socket.socket, address: IPv4Address | IPv6Address) -> bool:
    """As the kernel says. Raises OSError if it does not."""
    route = _route(kernel, address)
    if route is None or route.through_router:
        return False
    entry = _route(kernel, address, _FIB_MATCH)
    if route.kind != _UNICAST or entry is None:  # broadcast, anycast, or the machine's own
        return True
    if not entry.prefix_bits:  # the default route: all of the internet, which a tunnel's other end or a proxy leads to
        return False
    return entry.protocol in _BY_PREFIX or not _leads_to_one(kernel, route.out)


def _is_in_a_network(address: IPv4Address | IPv6Address) -> bool:
    """As the tables say. Raises OSError if they cannot be read."""
    if address.version == 6:
        if not _ADDRESSES.exists():  # no IPv6, unless nothing is there
            _ROUTES.stat()
            return False
        return any(address in network for network in _networks())
    number = int.from_bytes(address.packed, sys.byteorder)
    for line in _ROUTES.read_text(encoding="ascii").splitlines()[1:]:
        interface, destination, _, flags, *_, mask, _, _, _ = line.split()
        bits = int(mask, 16)
        beside = bits and number & bits == int(destination, 16) and not int(flags, 16) & _THROUGH_ROUTER
        if beside and not _is_tunnel(interface):
            return True
    return False


def _networks() -> list[IPv6Network]:
    lines = map(str.split, _ADDRESSES.read_text(encoding="ascii").splitlines())
    return [IPv6Network((int(own, 16), int(bits, 16)), strict=False) for own, _, bits, *_ in lines]


def _is_tunnel(interface: str) -> bool:
    """False if that is not known."""
    try:
        return bool(int((_LINKS / interface / "flags").read_text(encoding="ascii"), 16) & _NOBODY_BESIDE)
    except OSError:
        return False


def _route(kernel: socket.socket, address: IPv4Address | IPv6Address, flags: int = 0) -> Route | None:
    """The route to the address; None if there is none."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    wanted = _ROUTE.pack(family, address.max_prefixlen, 0, 0, 0, 0, 0, 0, flags)
    packed = address.packed
    answer = _asked(kernel, _GET_ROUTE, wanted + _ATTRIBUTE.pack(_ATTRIBUTE.size + len(packed), _DESTINATION) + packed)
    return None if answer is None else read_route(answer)


def read_route(answer: bytes) -> Route:
    """Parse the kernel's struct rtmsg with its attributes."""
    _, prefix_bits, _, _, _, protocol, _, kind, _ = _ROUTE.unpack_from(answer)
    found: dict[int, bytes] = {}
    at = _ROUTE.size
    while at + _ATTRIBUTE.size <= len(answer):
        length, name = _ATTRIBUTE.unpack_from(answer, at)
        found[name] = answer[at + _ATTRIBUTE.size : at + length]
        at += (max(length, _ATTRIBUTE.size) + 3) & ~3
    out = int.from_bytes(found.get(_OUT, b""), sys.byteorder)
    return Route(prefix_bits, protocol, kind, out, _GATEWAY in found or _VIA in found)


def _leads_to_one(kernel: socket.socket, interface: int) -> bool:
    """True if only one machine is on the link: what it leads to is no neighbour."""
    answer = _asked(kernel, _GET_LINK, _LINK.pack(socket.AF_UNSPEC, 0, interface, 0, 0))
    return answer is not None and bool(_LINK.unpack_from(answer)[3] & _NOBODY_BESIDE)


def _asked(kernel: socket.socket, what: int, request: bytes) -> bytes | None:
    """The kernel's answer, which is there at once; None if it is that there is no way. Raises OSError."""
    kernel.send(_HEADER.pack(_HEADER.size + len(request), what, _REQUEST, 0, 0) + request)
    answer = kernel.recv(_ANSWER_BYTES)
    length, kind, *_ = _HEADER.unpack_from(answer)
    if kind != _ERROR:
        return answer[_HEADER.size : length]
    number = -_NUMBER.unpack_from(answer, _HEADER.size)[0]
    if number not in _NO_WAY:
        raise OSError(number, os.strerror(number))
    return None
