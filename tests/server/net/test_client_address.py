from __future__ import annotations

from ipaddress import ip_network

import pytest

from server.net.client_address import client_address
from server.net.handshakes import MINUTE_S, HandshakeMeter


@pytest.mark.parametrize(
    ("peer", "forwarded", "expected"),
    [
        ("203.0.113.9", "", "203.0.113.9"),
        ("203.0.113.9", "198.51.100.1", "203.0.113.9"),  # nobody we trust says so
        ("10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("10.0.0.1", "1.1.1.1, 198.51.100.1", "198.51.100.1"),  # the left one is the client's own invention
        ("10.0.0.1", "198.51.100.1, 10.0.0.2", "198.51.100.1"),
        ("10.0.0.1", "10.0.0.3, 10.0.0.2", "10.0.0.3"),
        ("10.0.0.1", "", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1, nonsense", "10.0.0.1"),
        ("10.0.0.1", "198.51.100.1:4711", "198.51.100.1"),
        ("10.0.0.1", '"[2001:db8::7]:4711"', "2001:db8::7"),
        ("::ffff:10.0.0.1", "198.51.100.1", "198.51.100.1"),
        ("", "198.51.100.1", ""),
        ("/run/nginx.sock", "198.51.100.1", "/run/nginx.sock"),
    ],
)
def test_the_client_is_the_right_most_hop_that_is_no_trusted_proxy(peer: str, forwarded: str, expected: str) -> None:
    assert client_address(peer, forwarded, (ip_network("10.0.0.0/8"),)) == expected


def test_handshakes_of_one_ipv6_network_are_one_client_s() -> None:
    meter = HandshakeMeter(2)
    admitted = [meter.admit(f"2001:db8:1:2::{host:x}", 0.0) for host in range(5)]
    assert admitted == [True, True, False, False, False]
    assert meter.admit("2001:db8:1:3::1", 0.0)
    assert meter.admit("192.0.2.1", 0.0)
    assert meter.admit("2001:db8:1:2::9", 60.0)


def test_addresses_are_forgotten_when_their_minute_is_over() -> None:
    meter = HandshakeMeter(2)
    for host in range(100):
        meter.admit(f"192.0.2.{host}", 0.0)
    assert len(meter) == 100
    for step in range(100):
        meter.admit("198.51.100.1", MINUTE_S + step)
    assert len(meter) == 1
