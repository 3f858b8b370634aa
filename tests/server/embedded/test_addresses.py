"""The hosts that addresses lead to, parsed as browsers parse them."""

from __future__ import annotations

from ipaddress import IPv4Address, ip_address
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded import addresses
from server.embedded.addresses import Reach, WebAddress, address_reach, complete_url, host_reach, literal, read_url


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
        ("example.com", "https", "example.com", Reach.PUBLIC),
        ("notes.txt and more", "", "", Reach.UNKNOWN),
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
        ("2a00::5efe:a00:1", Reach.PRIVATE),
        ("2a00::200:5efe:7f00:1", Reach.LOOPBACK),
        ("2a00::5efe:808:808", Reach.PUBLIC),
        ("fe80::5efe:808:808", Reach.METADATA),
        ("64:ff9b:1::808:808", Reach.METADATA),
        ("64:ff9b:1::a00:1", Reach.METADATA),
        ("::7f00:1", Reach.METADATA),
        ("fec0::1", Reach.PRIVATE),
        ("2002:a00:1::", Reach.PRIVATE),
        ("169.254.169.254", Reach.METADATA),
        ("fe80::1", Reach.METADATA),
        ("fd00:ec2::254", Reach.METADATA),
        ("100.100.100.200", Reach.METADATA),
        ("192.0.0.192", Reach.METADATA),
        ("192.0.0.7", Reach.PRIVATE),
        ("192.0.0.200", Reach.PRIVATE),
        ("3fff::1", Reach.PRIVATE),
        ("224.0.0.1", Reach.METADATA),
        ("255.255.255.255", Reach.METADATA),
    ],
)
def test_addresses(address: str, reach: Reach) -> None:
    assert address_reach(ip_address(address)) is reach
    assert host_reach(address) is reach


def test_a_public_address_of_this_machine_leads_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A loopback address stands in for it: every machine has one."""
    own, other = ip_address("127.0.0.1"), ip_address("93.184.216.34")
    monkeypatch.setattr(IPv4Address, "is_loopback", False)
    monkeypatch.setattr(IPv4Address, "is_global", True)
    assert (address_reach(own), address_reach(other)) == (Reach.LOOPBACK, Reach.PUBLIC)


@pytest.mark.parametrize(
    "spelled", ["93.184.216.34", "2a00:1450:4001:1::2", "::ffff:93.184.216.34", "64:ff9b::5db8:d822"]
)
def test_a_public_address_of_this_machines_network_leads_inside(monkeypatch: pytest.MonkeyPatch, spelled: str) -> None:
    near = {ip_address("93.184.216.34"), ip_address("2a00:1450:4001:1::2")}
    monkeypatch.setattr(addresses, "is_neighbour", near.__contains__)
    assert host_reach(spelled) is Reach.PRIVATE
    assert read_url("http://93.184.216.35/").reach is Reach.PUBLIC


@pytest.mark.parametrize("what", ["_is_own", "is_neighbour"])
def test_what_cannot_be_checked_is_closed(monkeypatch: pytest.MonkeyPatch, what: str) -> None:
    def no_descriptor(_: object) -> bool:
        raise OSError(24, "Too many open files")

    monkeypatch.setattr(addresses, what, no_descriptor)
    assert read_url("http://93.184.216.34/").reach is Reach.PRIVATE


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
    for address in (read_url(text), read_url(f"http://{text}")):
        assert address.host or address.reach is Reach.UNKNOWN


INVISIBLE = "\u00ad\u034f\u115f\u180e\u200b\u2060\u2064\u206a\ufe0f\ufeff\U000e0100"


@pytest.mark.parametrize("sign", INVISIBLE)
@pytest.mark.parametrize("place", [0, 3, 9])
def test_invisible_signs_hide_no_address(sign: str, place: int) -> None:
    """UTS 46 drops them, and browsers with it; those that it refuses are refused here."""
    host = "127.0.0.1"[:place] + sign + "127.0.0.1"[place:]
    for spelled in (host, quote(host)):
        for address in (read_url(f"http://{spelled}:8000/"), read_url(f"http://user:pass@{spelled}/")):
            assert (address.host, address.reach) in {("127.0.0.1", Reach.LOOPBACK), ("", Reach.UNKNOWN)}


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1\u200d",
        "127.0.0.1%00",
        "a%2fb.example",
        "a b.example",
        "\u202eb.example",
        "xn--a.example",
        "1.2.3.4.5",
        "xn--127.example",
        "xn--\u00e9.example",
        "256.1.1.1",
        "0x100000000",
        "example.com:port",
        "a%ff%fe.example",
    ],
)
def test_what_uts_46_refuses_is_no_host(host: str) -> None:
    assert read_url(f"http://{host}/") == WebAddress("http", "", Reach.UNKNOWN)


@pytest.mark.parametrize(
    ("host", "ascii_host"),
    [
        ("b\u00fccher.example", "xn--bcher-kva.example"),
        ("\u2615.example", "xn--53h.example"),
        ("fa\u00df.example", "xn--fa-hia.example"),
        ("\u2460\u2461\u2466.0.0.1", "127.0.0.1"),
        ("\uff4c\uff4f\uff43\uff41\uff4c\uff48\uff4f\uff53\uff54.", "localhost"),
        ("a_b.example", "a_b.example"),
    ],
)
def test_names_are_in_ascii_as_they_are_resolved(host: str, ascii_host: str) -> None:
    assert read_url(f"http://{host}/").host == ascii_host


@pytest.mark.parametrize(
    ("typed", "url"),
    [
        ("example.com", "https://example.com"),
        (" example.com/?q=1 ", "https://example.com/?q=1"),
        ("example.com:8443/!faq", "https://example.com:8443/!faq"),
        ("localhost:8000", "https://localhost:8000"),
        ("http://example.com", "http://example.com"),
        ("mailto:a@b.example", "mailto:a@b.example"),
        ("javascript:1", "javascript:1"),
        ("notes/a.txt", "notes/a.txt"),
        ("about:blank", "about:blank"),
    ],
)
def test_https_is_assumed_where_a_host_is_typed(typed: str, url: str) -> None:
    assert complete_url(typed) == url
