"""Where an address of the web leads to: the internet, this machine, its network, or what nobody should reach.

URLs are read as browsers read them (WHATWG URL Standard): backslashes are slashes, 127.1 and 0x7f000001 are addresses.
"""

from __future__ import annotations

import re
import socket
import unicodedata
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from server.embedded.service import EmbeddedConfig

Address = IPv4Address | IPv6Address

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_AUTHORITY = re.compile(r"[/\\]*([^/\\?#]*)")
_IGNORED = re.compile(r"[\t\r\n]")  # anywhere in a URL
_EDGES = "".join(map(chr, range(0x21)))
_LEGACY_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\Z")

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_METADATA_ADDRESSES = frozenset(  # of clouds, outside of the link-local range
    {ip_address("fd00:ec2::254"), ip_address("100.100.100.200"), ip_address("168.63.129.16")}
)
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
_PRIVATE_SUFFIXES = (".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")


class Reach(StrEnum):
    """From the widest to what is always closed."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    METADATA = "metadata"  # link-local, where clouds answer with credentials; multicast and reserved ranges too
    UNKNOWN = "unknown"  # a reference that is filled in later, or no host at all


@dataclass(frozen=True, slots=True)
class WebAddress:
    """What a URL says: scheme and host in lower case, empty where there is none."""

    scheme: str
    host: str
    reach: Reach


def read_url(url: str) -> WebAddress:
    """Never raises: what is no URL has neither scheme nor host."""
    clean = _IGNORED.sub("", url.strip(_EDGES))
    found = _SCHEME.match(clean)
    if found is None:
        return WebAddress("", "", Reach.UNKNOWN)
    scheme = found[1].lower()
    if scheme not in {"http", "https"}:
        return WebAddress(scheme, "", Reach.UNKNOWN)
    authority = _AUTHORITY.match(clean, found.end())
    host = _host(authority[1] if authority else "")
    return WebAddress(scheme, host, host_reach(host))


def _host(authority: str) -> str:
    """Without user and port; percent signs, wide letters and the trailing dot resolved."""
    named = authority.rpartition("@")[2]
    if named.startswith("["):
        return named[1:].partition("]")[0].lower()
    folded = unicodedata.normalize("NFKC", unquote(named)).replace("。", ".")
    return folded.partition(":")[0].lower().rstrip(".")


def host_reach(host: str) -> Reach:
    """By the name alone; where a public name leads to is known once it is resolved."""
    if not host or "${" in host:
        return Reach.UNKNOWN
    address = literal(host)
    if address is not None:
        return address_reach(address)
    if host in _METADATA_NAMES:
        return Reach.METADATA
    if host == "localhost" or host.endswith(".localhost"):
        return Reach.LOOPBACK
    if "." not in host or host.endswith(_PRIVATE_SUFFIXES):
        return Reach.PRIVATE
    return Reach.PUBLIC


def literal(host: str) -> Address | None:
    """The address that a host spells out, in any way that browsers take."""
    try:
        return ip_address(host.partition("%")[0])
    except ValueError:
        pass
    if not _LEGACY_IPV4.match(host):
        return None
    try:
        return IPv4Address(socket.inet_aton(host))
    except OSError:
        return None


def address_reach(address: Address) -> Reach:
    """By IANA's registries."""
    if isinstance(address, IPv6Address):
        inner = _embedded_ipv4(address)
        if inner is not None:
            return address_reach(inner)
    if address in _METADATA_ADDRESSES or address.is_link_local or address.is_multicast:
        return Reach.METADATA
    if address.is_loopback or address.is_unspecified:
        return Reach.LOOPBACK
    if address.is_reserved:
        return Reach.METADATA
    return Reach.PUBLIC if address.is_global else Reach.PRIVATE


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def private_network(config: EmbeddedConfig) -> Literal["", "allow", "deny"]:
    """BROWSER_PRIVATE_NETWORK: may pages of this machine and its network be opened? Raises MissingPartError.

    Empty: safety denies to go there, and the browser itself does not mind (a laptop without internet has nothing else).
    """
    option = config.option("BROWSER_PRIVATE_NETWORK").strip().lower()
    match option:
        case "" | "allow" | "deny":
            return option
        case _:
            raise MissingPartError(f"BROWSER_PRIVATE_NETWORK is allow or deny, not {option}")
