"""Where addresses lead to, read as browsers read them."""

from __future__ import annotations

from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.addresses import Reach, address_reach, host_reach, literal, read_url


@pytest.mark.parametrize(
    ("url", "scheme", "host", "reach"),
    [
        ("https://Example.COM./a?b#c", "https", "example.com", Reach.PUBLIC),
        (" \x00http://example.com", "http", "example.com", Reach.PUBLIC),
        ("ht\ntp://exam\tple.com", "http", "example.com", Reach.PUBLIC),
        ("http://a@b:c@example.com:80/@x", "http", "example.com", Reach.PUBLIC),
        ("http:/example.com", "http", "example.com", Reach.PUBLIC),
        ("http:////example.com", "http", "example.com", Reach.PUBLIC),
        ("http:\\\\example.com\\@10.0.0.1", "http", "example.com", Reach.PUBLIC),
        ("http://example.com#@10.0.0.1", "http", "example.com", Reach.PUBLIC),
        ("http://%31%30.0.0.1/", "http", "10.0.0.1", Reach.PRIVATE),
        ("http://10。0。0。1/", "http", "10.0.0.1", Reach.PRIVATE),
        ("http://[::1]:80/", "http", "::1", Reach.LOOPBACK),
        ("http://app.localhost/", "http", "app.localhost", Reach.LOOPBACK),
        ("http://intranet/", "http", "intranet", Reach.PRIVATE),
        ("http://${s1.host}/", "http", "${s1.host}", Reach.UNKNOWN),
        ("http://", "http", "", Reach.UNKNOWN),
        ("file:///etc/passwd", "file", "", Reach.UNKNOWN),
        ("about:blank", "about", "", Reach.UNKNOWN),
        ("example.com", "", "", Reach.UNKNOWN),
        ("", "", "", Reach.UNKNOWN),
    ],
)
def test_urls(url: str, scheme: str, host: str, reach: Reach) -> None:
    address = read_url(url)
    assert (address.scheme, address.host, address.reach) == (scheme, host, reach)


@pytest.mark.parametrize(
    ("address", "reach"),
    [
        ("93.184.216.34", Reach.PUBLIC),
        ("2606:4700::1", Reach.PUBLIC),
        ("127.0.0.1", Reach.LOOPBACK),
        ("127.255.255.254", Reach.LOOPBACK),
        ("0.0.0.0", Reach.LOOPBACK),
        ("::", Reach.LOOPBACK),
        ("::ffff:127.0.0.1", Reach.LOOPBACK),
        ("10.1.2.3", Reach.PRIVATE),
        ("172.31.0.1", Reach.PRIVATE),
        ("192.168.1.1", Reach.PRIVATE),
        ("100.64.0.1", Reach.PRIVATE),
        ("fd12::1", Reach.PRIVATE),
        ("64:ff9b::a00:1", Reach.PRIVATE),
        ("2002:a00:1::", Reach.PRIVATE),
        ("169.254.169.254", Reach.METADATA),
        ("fe80::1", Reach.METADATA),
        ("fd00:ec2::254", Reach.METADATA),
        ("100.100.100.200", Reach.METADATA),
        ("224.0.0.1", Reach.METADATA),
        ("255.255.255.255", Reach.METADATA),
    ],
)
def test_addresses(address: str, reach: Reach) -> None:
    assert address_reach(ip_address(address)) is reach
    assert host_reach(address) is reach


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("127.1", "127.0.0.1"),
        ("0x7f.1", "127.0.0.1"),
        ("2130706433", "127.0.0.1"),
        ("017700000001", "127.0.0.1"),
        ("0xa000001", "10.0.0.1"),
        ("fe80::1%eth0", "fe80::1"),
        ("1.2.3.4.5", None),
        ("256.256.256.256", None),
        ("example.com", None),
        ("face", None),
    ],
)
def test_addresses_spelled_as_in_the_old_days(host: str, address: str | None) -> None:
    assert literal(host) == (ip_address(address) if address else None)


@given(st.text())
def test_no_text_is_too_odd(text: str) -> None:
    read_url(text)
    read_url(f"http://{text}")
