"""What a web address reaches: the internet, this machine, its network, or what must never be reached.

URLs are parsed like in browsers (WHATWG URL Standard): backslashes are slashes, 127.1 and 0x7f000001 are addresses, and names
are mapped by UTS 46, which drops invisible characters and refuses others.
"""

from __future__ import annotations

import re
import socket
from dataclasses import dataclass
from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

import idna

from server.embedded.neighbours import is_neighbour
from server.embedded.service import MissingPartError

if TYPE_CHECKING:
    from server.embedded.service import EmbeddedConfig

Address = IPv4Address | IPv6Address

_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
_BARE_HOST = re.compile(  # example.com/a, localhost:8000; no "mailto:", no "a/b"
    r"(?:localhost|(?:[^\s/\\?#@:.]+\.)+[^\s/\\?#@:.]+\.?)(?::\d{1,5})?(?:[/?#]|\Z)",
    re.IGNORECASE,
)
_AUTHORITY = re.compile(r"[/\\]*([^/\\?#]*)")
_IGNORED = re.compile(r"[\t\r\n]")  # anywhere in a URL
_EDGES = "".join(map(chr, range(0x21)))
_FORBIDDEN = re.compile(r"[\x00-\x20#%/:<>?@\[\\\]^|\x7f]")  # in a domain, by the WHATWG URL Standard
_ENDS_IN_NUMBER = re.compile(r"(?:.*\.)?(?:0x[0-9a-f]*|\d+)\Z", re.DOTALL)  # then it must be an IPv4 address
_JOINERS = re.compile("[\u200c\u200d]")
_LEGACY_IPV4 = re.compile(r"(?:0x[0-9a-f]*|\d+)(?:\.(?:0x[0-9a-f]*|\d+)){0,3}\Z")

_NAT64 = ip_network("64:ff9b::/96")  # RFC 6052: the last 32 bits are an IPv4 address
_ISATAP, _ISATAP_MASK = 0x00005EFE, 0xFDFFFFFF  # RFC 5214: stands before an IPv4 address; one bit of it is free
IPV4_VERSION, DISCARD_PORT = 4, 9
_METADATA_ADDRESSES = frozenset(  # of cloud providers, outside the link-local range
    map(ip_address, ("fd00:ec2::254", "100.100.100.200", "168.63.129.16", "192.0.0.192"))
)
# Not for the internet by IANA's registries, but global for some releases of Python 3.11.
_NOT_GLOBAL = (ip_network("192.0.0.0/24"), ip_network("3fff::/20"))
_METADATA_NAMES = frozenset({"metadata.google.internal", "metadata.goog", "metadata", "instance-data"})
_PRIVATE_SUFFIXES = (".local", ".internal", ".intranet", ".lan", ".home", ".corp", ".home.arpa")


class Reach(StrEnum):
    """From the most open to what is always closed."""

    PUBLIC = "public"
    LOOPBACK = "loopback"
    PRIVATE = "private"
    METADATA = "metadata"  # link-local, where clouds serve credentials; also multicast and reserved ranges
    UNKNOWN = "unknown"  # a reference filled in later, or no host at all


@dataclass(frozen=True, slots=True)
class WebAddress:
    """Scheme and host of a URL in lower case; empty if it has none."""

    scheme: str
    host: str
    reach: Reach


def complete_url(url: str) -> str:
    """Complete a URL like an address bar: add https if it has no scheme, and drop what browsers ignore."""
    clean = _IGNORED.sub("", url.strip(_EDGES))
    return f"https://{clean}" if _BARE_HOST.match(clean) else clean


def read_url(url: str) -> WebAddress:
    """Parse a URL. Never raises: an invalid one has neither scheme nor host."""
    clean = complete_url(url)
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
    """The host without user and port, in ASCII as browsers resolve it; empty if they refuse it."""
    named = authority.rpartition("@")[2]
    if named.startswith("["):
        return named[1:].partition("]")[0].lower()
    name, _, port = named.partition(":")
    if "${" in name:  # filled in from an earlier step, and checked again then
        return name.lower()
    if port and "${" not in port and not (port.isascii() and port.isdigit()):
        return ""
    try:
        return _domain(unquote_to_bytes(name).decode("utf-8", "replace"))
    except (idna.IDNAError, UnicodeError):
        return ""


def _domain(name: str) -> str:
    """The name's ASCII form by UTS 46, non-transitional, without a trailing dot. Raises IDNAError, UnicodeError."""
    mapped = idna.uts46_remap(name, std3_rules=False, transitional=False)
    domain = ".".join(map(_ascii_label, mapped.split("."))).removesuffix(".")
    if _FORBIDDEN.search(domain) or (_ENDS_IN_NUMBER.match(domain) and literal(domain) is None):
        raise idna.IDNAError(f"{domain!r} is not a host")
    return domain


def _ascii_label(label: str) -> str:
    """A label in ASCII. Unlike IDNA 2008, browsers allow symbols, so this is not idna.encode. Raises IDNAError, UnicodeError."""
    for joiner in _JOINERS.finditer(label):
        if not idna.valid_contextj(label, joiner.start()):
            raise idna.IDNAError("a joiner stands where no script has one")
    if label.startswith("xn--"):
        inner = label[4:].encode("ascii").decode("punycode")
        if inner.isascii() or idna.uts46_remap(inner, std3_rules=False, transitional=False) != inner:
            raise idna.IDNAError(f"{label} is not a label of UTS 46")
    return label if label.isascii() else "xn--" + label.encode("punycode").decode("ascii")


def host_reach(host: str) -> Reach:
    """Classify a host by its name only. What a public name reaches is known once it is resolved."""
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
    """The address that a host spells out, in any form that browsers accept; None for a name."""
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
    """Classify an address by IANA's registries, and a public one by where this machine would send to it now."""
    if isinstance(address, IPv6Address):
        inner = _embedded_ipv4(address)
        if inner is not None:
            return address_reach(inner)
        if (tunnelled := _isatap_reach(address)) is not Reach.PUBLIC:
            return tunnelled
        if address.is_site_local:  # fec0::/10 is deprecated (RFC 3879), and Python considers it global
            return Reach.PRIVATE
    if address in _METADATA_ADDRESSES or address.is_link_local or address.is_multicast:
        return Reach.METADATA
    if address.is_loopback or address.is_unspecified:
        return Reach.LOOPBACK
    if address.is_reserved:
        return Reach.METADATA
    if not address.is_global or any(address in network for network in _NOT_GLOBAL):
        return Reach.PRIVATE
    try:
        if _is_own(address):
            return Reach.LOOPBACK
        return Reach.PRIVATE if is_neighbour(address) else Reach.PUBLIC
    except OSError:  # no descriptor, or no IPv6: what cannot be checked is closed
        return Reach.PRIVATE


def _is_own(address: Address) -> bool:
    """True if this machine has the address: a public one leads to services that a firewall may hide from others.

    Nothing is sent. The kernel answers from its routes: for an own address, the source is the same. Raises OSError if there is no socket.
    """
    family = socket.AF_INET if address.version == IPV4_VERSION else socket.AF_INET6
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect((str(address), DISCARD_PORT))
            return ip_address(probe.getsockname()[0]) == address
        except OSError:
            return False


def _embedded_ipv4(address: IPv6Address) -> IPv4Address | None:
    if address.ipv4_mapped is not None:
        return address.ipv4_mapped
    if address.sixtofour is not None:
        return address.sixtofour
    return IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else None


def _isatap_reach(address: IPv6Address) -> Reach:
    """What an ISATAP address tunnels to; public for all others."""
    isatap = (int(address) >> 32) & _ISATAP_MASK == _ISATAP
    return address_reach(IPv4Address(int(address) & 0xFFFFFFFF)) if isatap else Reach.PUBLIC


def private_network_open(config: EmbeddedConfig) -> bool:
    """BROWSER_PRIVATE_NETWORK: True if pages of this machine and its network may be opened. Raises MissingPartError."""
    option = config.option("BROWSER_PRIVATE_NETWORK").strip().lower()
    if option not in {"", "allow", "deny"}:
        raise MissingPartError(f"BROWSER_PRIVATE_NETWORK is allow or deny, not {option}")
    return option == "allow"
