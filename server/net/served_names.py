"""Which names the gateway answers to: the Host header of a request.

Under DEBUG an anonymous page may do much, so a page of the internet whose name comes to resolve to this machine (DNS
rebinding) must not be taken for one of ours. An address cannot be rebound: addresses of this machine stay allowed.
"""

from __future__ import annotations

import socket
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

PROBED = frozenset({"/live", "/ready", "/health", "/metrics"})  # health checks and scrapers call these by address


class ServedNames:
    """ALLOWED_HOSTS, and under DEBUG the names of this machine. Neither: any name."""

    def __init__(self, allowed: Iterable[str], *, debug: bool, host: str) -> None:
        self._debug = debug
        self._names = frozenset(map(_plain, allowed))
        self._any = not debug and not self._names
        if debug:
            self._names |= machine_names() | {_plain(host)}

    def serves(self, host: str, path: str) -> bool:
        """`host` as in the Host header, perhaps with a port."""
        if self._any:
            return True
        name = host_name(host)
        if name in self._names or (self._debug and name.endswith(".localhost")):
            return True
        return _is_address(name) and (self._debug or path in PROBED)


def machine_names() -> frozenset[str]:
    """What this machine calls itself, without asking a name server."""
    own = _plain(socket.gethostname())
    short = own.partition(".")[0]
    return frozenset({"localhost", own, short, f"{short}.local"}) - {"", ".local"}


def host_name(host: str) -> str:
    """Without port, brackets and the trailing dot; empty for what is no host."""
    try:
        return _plain(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return ""


def _plain(name: str) -> str:
    return name.strip("[]").lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
