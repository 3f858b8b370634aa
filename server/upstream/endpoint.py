"""A service's address, how to connect to it, and who measures its calls."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from typing_extensions import override

if TYPE_CHECKING:
    from pathlib import Path

MAX_PORT = 65_535

_PLAIN_SCHEMES = ("grpc://", "http://")
_TLS_SCHEMES = ("grpcs://", "https://")
_RESOLVERS = re.compile(r"(dns|ipv4|ipv6|unix|unix-abstract|vsock|xds):")  # gRPC's name syntax; passed on unchanged
_HOST_PORT = re.compile(r"(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s:/\[\]]+):(?P<port>\d{1,5})/?\Z")


class EndpointError(ValueError):
    """A configured address or certificate file cannot be used; the text says which and why."""


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files. No `ca`: the system's roots. `certificate` and `key` together: mutual TLS."""

    ca: Path | None = None
    certificate: Path | None = None
    key: Path | None = None
    server_name: str = ""  # the name in the server's certificate, if it differs from the address' host


@dataclass(frozen=True, slots=True)
class Target:
    """One address for gRPC. `tls`: its scheme requires TLS (grpcs, https)."""

    name: str
    tls: bool = False


def parse_address(text: str) -> Target:
    """`host:port`, a URL (grpc, http, grpcs, https), `unix:/path` or any gRPC name. Raises EndpointError."""
    tls = text.startswith(_TLS_SCHEMES)
    if _RESOLVERS.match(text):
        return Target(text)
    rest = text.split("://", 1)[1] if text.startswith(_PLAIN_SCHEMES + _TLS_SCHEMES) else text
    found = _HOST_PORT.match(rest)
    if not found or not 0 < int(found["port"]) <= MAX_PORT:
        raise EndpointError(f"{text!r} is not an address: host:port, unix:/path or grpcs://host:port is expected")
    return Target(f"dns:///{found['host']}:{found['port']}", tls)


@dataclass(frozen=True, slots=True)
class ServiceEndpoint:
    """One of the nine services. `address` may be several, separated by commas; `pool_size`: connections per address."""

    name: str
    address: str
    deadline_ms: int
    tls: TlsFiles | None = None
    pool_size: int = 1

    def targets(self) -> tuple[Target, ...]:
        """The addresses, in order. Raises EndpointError."""
        parts = [part.strip() for part in self.address.split(",") if part.strip()]
        if not parts:
            raise EndpointError(f"{self.name}: the address is empty")
        return tuple(parse_address(part) for part in parts)


class CallObserver(Protocol):
    """Takes measurements of calls. Called on the event loop; must not block."""

    def observe(self, service: str, method: str, status: str, seconds: float) -> None:
        """A call on the wire ended. `status`: gRPC's name, or CIRCUIT_OPEN for a call that the breaker refused."""

    def circuit(self, service: str, state: str) -> None:
        """A breaker became closed, open or half_open."""


class NoObserver(CallObserver):
    """Measures nothing."""

    @override
    def observe(self, service: str, method: str, status: str, seconds: float) -> None:
        pass

    @override
    def circuit(self, service: str, state: str) -> None:
        pass
