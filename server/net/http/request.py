"""What handlers see of a request."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, overload

from tornado.escape import parse_qs_bytes
from tornado.httputil import HTTPHeaders, HTTPServerRequest, RequestStartLine

from server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.net.http.exchange import Exchange

MAX_QUERY_PARAMETERS = 1000
_ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(.*)", re.IGNORECASE)
# RFC 3986, section 3.2.2, but for the comma: with one in it there were several headers, or a proxy has joined them.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


class Headers:
    """Of a request, asked for in any case. Values of a header that came several times stand one behind the other (RFC 9110, section 5.3)."""

    __slots__ = ("_values",)

    def __init__(self, values: Iterable[tuple[bytes, bytes]] = ()) -> None:
        self._values: dict[str, str] = {}
        for name, value in values:
            self.add(name, value)

    def add(self, name: bytes, value: bytes) -> None:
        """As it came."""
        key, text = name.decode("latin-1").lower(), value.decode("latin-1").strip(" \t")
        earlier = self._values.get(key)
        self._values[key] = text if earlier is None else f"{earlier}, {text}"

    def replace(self, name: str, value: str) -> None:
        """This one instead."""
        self._values[name.lower()] = value

    @overload
    def get(self, name: str) -> str | None: ...
    @overload
    def get(self, name: str, default: str) -> str: ...
    def get(self, name: str, default: str | None = None) -> str | None:
        """As of a dict."""
        return self._values.get(name.lower(), default)

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: str) -> bool:
        return name.lower() in self._values

    def items(self) -> Iterable[tuple[str, str]]:
        """Names in lower case."""
        return self._values.items()


class Request:
    """A request whose headers are there. Raises ApiError BAD_REQUEST for one without exactly one host."""

    __slots__ = (
        "_began",
        "_query_arguments",
        "body",
        "connection",
        "headers",
        "host",
        "method",
        "path",
        "query",
        "target",
        "version",
    )

    def __init__(self, connection: Exchange, start_line: RequestStartLine, headers: Headers) -> None:
        self.method, self.target, self.version = start_line
        self.headers = headers
        self.connection = connection
        self.body = b""
        self.host = _host(headers, self.version)
        if not self.target.startswith("/"):
            self._take_absolute()
        self.path, _, self.query = self.target.partition("?")
        self._query_arguments: dict[str, list[bytes]] | None = None
        self._began = time.monotonic()

    def _take_absolute(self) -> None:
        """RFC 9112 section 3.2.2: a server accepts a whole address, and its host counts."""
        found = _ABSOLUTE.fullmatch(self.target)
        if found:
            authority, path, query = found.groups()
            if not authority:
                raise ApiError("BAD_REQUEST", "the address has no host")
            self.headers.replace("Host", authority)
            self.host = _host(self.headers, self.version)
            self.target = f"{path or '/'}{query}"

    @property
    def remote_ip(self) -> str:
        """The peer's address."""
        return self.connection.remote_ip

    @property
    def seconds(self) -> float:
        """Since its headers were there."""
        return time.monotonic() - self._began

    @property
    def query_arguments(self) -> dict[str, list[bytes]]:
        """The query, decoded. Raises ApiError BAD_REQUEST for one that is too long."""
        if self._query_arguments is None:
            try:
                self._query_arguments = parse_qs_bytes(
                    self.query, keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS
                )
            except ValueError:
                raise ApiError("BAD_REQUEST", "the query has too many parameters") from None
        return self._query_arguments

    def for_tornado(self) -> HTTPServerRequest:
        """The same, as Tornado's WebSocket reads it."""
        headers = HTTPHeaders()
        for name, value in self.headers.items():
            headers[name] = value
        start_line = RequestStartLine(self.method, self.target, self.version)
        return HTTPServerRequest(connection=self.connection, start_line=start_line, headers=headers)


def _host(headers: Headers, version: str) -> str:
    host = headers.get("Host")
    if host is None:
        if version == "HTTP/1.0":
            return "127.0.0.1"
        raise ApiError("BAD_REQUEST", "Missing Host header")
    if not _is_host(host):
        raise ApiError("BAD_REQUEST", "Multiple hosts" if "," in host else "Invalid Host header")
    return host


@lru_cache(512)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None


@dataclass(slots=True)
class Head:
    """What is known of something that was to become a request: possibly nothing."""

    method: str = ""
    path: str = ""
    headers: Headers = field(default_factory=Headers)
    seconds: float = 0.0  # since its headers were there
