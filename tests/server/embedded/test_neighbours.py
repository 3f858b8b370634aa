"""Public addresses on this machine's own network: the kernel's answers for them, as Linux 6.18 gives them."""

from __future__ import annotations

import errno
import socket
import struct
import sys
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any, Self

import psutil  # type: ignore[import-untyped] # the library carries no types
import pytest

from server.embedded import neighbours
from server.embedded.neighbours import check_routes, is_neighbour
from server.embedded.service import MissingPartError

UNICAST, LOCAL, BROADCAST, ANYCAST = 1, 2, 3, 4
KERNEL, BOOT, ADVERTISED = 2, 3, 9
GATEWAY, VIA = {5: b"\x08\x14\x1e\x09"}, {18: b"\x0a\x00" + bytes(16)}
ETHERNET, TUN, NO_ARP = 0x11043, 0x1091, 0x10C1


def route(bits: int, protocol: int = 0, kind: int = UNICAST, more: dict[int, bytes] | None = None) -> bytes:
    """A struct rtmsg, and its attributes: table, destination, interface, source."""
    attributes = {
        15: b"\xfe\0\0\0",
        1: b"\x08\x14\x1e\x02",
        **(more or {}),
        4: struct.pack("=I", 3),
        7: b"\x08\x14\x1e\x01",
    }
    packed = [
        struct.pack("=HH", 4 + len(data), name) + data + bytes(-len(data) % 4) for name, data in attributes.items()
    ]
    return struct.pack("=8BI", 2, bits, 0, 0, 254, protocol, 0, kind, 0) + b"".join(packed)


def link(flags: int) -> bytes:
    return struct.pack("=BxHiII", 0, 1, 3, flags, 0)


@pytest.mark.parametrize(
    ("answers", "near"),
    [
        ([None], False),  # there is no route
        ([route(32, more=GATEWAY)], False),
        ([route(32, more=VIA)], False),  # of IPv4, to a router by IPv6
        ([route(32), route(24, KERNEL)], True),  # by the prefix of an interface, a tunnel too
        ([route(128), route(64, ADVERTISED)], True),
        ([route(32, kind=LOCAL), route(32, KERNEL, LOCAL)], True),
        ([route(32, kind=BROADCAST), route(32, KERNEL, BROADCAST)], True),
        ([route(128, kind=ANYCAST), route(128, KERNEL, ANYCAST)], True),
        ([route(32), route(16, BOOT), link(ETHERNET)], True),
        ([route(32), None], True),  # it has gone meanwhile
        # a whole internet behind an interface is none of neighbours
        ([route(32), route(0, BOOT)], False),
        ([route(32), route(1, BOOT), link(TUN)], False),
        ([route(128), route(3, BOOT), link(NO_ARP)], False),
        ([route(32), route(8, BOOT), link(TUN)], False),
    ],
)
def test_a_neighbour_is_reached_without_a_router(
    monkeypatch: pytest.MonkeyPatch, answers: list[bytes | None], near: bool
) -> None:
    left = iter(answers)
    monkeypatch.setattr(neighbours, "_asked", lambda *_: next(left))
    assert is_neighbour(ip_address("8.20.30.2")) is near
    assert list(left) == []


def test_the_networks_of_this_machines_interfaces_are_neighbours() -> None:
    """Asks the kernel itself, for the address beside each of its own."""
    states = psutil.net_if_stats()
    for name, found in psutil.net_if_addrs().items():
        flags = set(states[name].flags.split(","))
        for one in found:
            if "up" in flags and not flags & {"loopback", "pointopoint", "noarp"} and one.family == socket.AF_INET:
                network = ip_network(f"{one.address}/{one.netmask}", strict=False)
                assert network.prefixlen == 32 or is_neighbour(network[1]), network
    assert is_neighbour(ip_address("127.0.0.1"))
    assert is_neighbour(ip_address("127.9.9.9"))


class Refusing:
    """A kernel that answers each question with an error."""

    def __init__(self, number: int) -> None:
        self._answer = struct.pack("=IHHIIi", 36, 2, 0, 0, 0, -number) + bytes(16)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def setblocking(self, _: bool) -> None:
        pass

    def send(self, _: bytes) -> None:
        pass

    def recv(self, _: int) -> bytes:
        return self._answer


ROUTES = """Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t{router}\t0003\t0\t0\t0\t00000000\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t{half}\t0\t0\t0
eth0\t{beside}\t00000000\t0001\t0\t0\t0\t{mask}\t0\t0\t0
eth0\t{behind}\t{router}\t0003\t0\t0\t0\t{mask}\t0\t0\t0
"""
ADDRESSES = """2a0100000000000000000000000000ff 02 40 00 80     eth0
00000000000000000000000000000001 01 80 10 80       lo
"""


def tables(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = {
        "router": "8.20.30.1",
        "half": "128.0.0.0",
        "beside": "8.20.30.0",
        "behind": "8.20.40.0",
        "mask": "255.255.255.0",
    }
    written = {name: f"{int.from_bytes(ip_address(text).packed, sys.byteorder):08X}" for name, text in numbers.items()}
    (folder / "route").write_text(ROUTES.format(**written))
    (folder / "if_inet6").write_text(ADDRESSES)
    for interface, flags in (("eth0", ETHERNET), ("tun0", TUN)):
        (folder / interface).mkdir()
        (folder / interface / "flags").write_text(f"{flags:#x}\n")
    monkeypatch.setattr(neighbours, "_ROUTES", folder / "route")
    monkeypatch.setattr(neighbours, "_ADDRESSES", folder / "if_inet6")
    monkeypatch.setattr(neighbours, "_LINKS", folder)


def forbidden(*_: Any) -> Any:
    raise OSError(97, "Address family not supported by protocol")


@pytest.mark.parametrize("kernel", [lambda *_: Refusing(errno.EOPNOTSUPP), lambda *_: Refusing(errno.EPERM), forbidden])
def test_a_kernel_that_refuses_the_question_has_it_answered_by_its_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kernel: Any
) -> None:
    """A refusal was taken for an address without neighbours: all of this machine's public network was open to pages."""
    tables(tmp_path, monkeypatch)
    monkeypatch.setattr(socket, "socket", kernel)
    near = {"8.20.30.7", "2a01::7"}
    far = {"8.20.40.7", "9.9.9.9", "200.1.1.1", "2a01:0:0:1::7", "2606:4700::1"}
    assert {address for address in near | far if is_neighbour(ip_address(address))} == near
    (tmp_path / "if_inet6").unlink()  # a machine without IPv6
    assert not is_neighbour(ip_address("2a01::7"))
    (tmp_path / "route").unlink()
    for address in near:
        with pytest.raises(OSError, match="No such file"):
            is_neighbour(ip_address(address))


def test_an_address_without_a_route_is_no_neighbour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tables(tmp_path, monkeypatch)
    monkeypatch.setattr(socket, "socket", lambda *_: Refusing(errno.ENETUNREACH))
    assert not is_neighbour(ip_address("8.20.30.7"))


def test_routes_that_cannot_be_read_are_told_at_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    check_routes()
    monkeypatch.setattr(socket, "socket", forbidden)
    check_routes()
    monkeypatch.setattr(neighbours, "_ADDRESSES", Path("/nowhere/if_inet6"))
    monkeypatch.setattr(neighbours, "_ROUTES", Path("/nowhere/route"))
    with pytest.raises(MissingPartError, match="routes of this machine cannot be read"):
        check_routes()


def test_a_system_without_such_answers_knows_no_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(socket, "AF_NETLINK")
    assert not is_neighbour(ip_address("127.0.0.1"))
