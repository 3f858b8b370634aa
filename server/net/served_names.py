"""The Host names that the gateway answers to.

Under DEBUG an anonymous page may do much. So a page of the internet whose name is made to resolve to this machine (DNS
rebinding) must not be taken for one of ours. An address cannot be rebound, so this machine's addresses stay allowed.
"""

from __future__ import annotations

import socket
from functools import lru_cache
from ipaddress import ip_address
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable

PROBED = frozenset({"/live", "/ready", "/health", "/metrics"})  # health checks and scrapers call these by address


class ServedNames:
    """ALLOWED_HOSTS, and under DEBUG this machine's names. Without either, any name is served."""

    def __init__(self, allowed: Iterable[str], *, debug: bool, host: str) -> None:
        self._debug = debug
        self._names = frozenset(map(_plain, allowed))
        self._any = not debug and not self._names
        if debug:
            self._names |= machine_names() | {_plain(host)}

    def serves(self, host: str, path: str) -> bool:
        """True if the gateway answers to `host`, as in the Host header, with or without a port."""
        if self._any:
            return True
        name = host_name(host)
        if name in self._names or (self._debug and name.endswith(".localhost")):
            return True
        return _is_address(name) and (self._debug or path in PROBED)


def machine_names() -> frozenset[str]:
    """This machine's own names, without asking a name server."""
    own = _plain(socket.gethostname())
    short = own.partition(".")[0]
    return frozenset({"localhost", own, short, f"{short}.local"}) - {"", ".local"}


@lru_cache(512)  # asked for every request; an attacker's spellings only evict each other
def host_name(host: str) -> str:
    """The host without port, brackets and trailing dot; empty if it is invalid."""
    try:
        return _plain(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return ""


def _plain(name: str) -> str:
    return name.strip("[]").lower().removesuffix(".")


@lru_cache(512)
def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
