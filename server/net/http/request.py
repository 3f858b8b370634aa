"""Tornado's HTTPServerRequest at a fifth of its cost: what a handler may never use is parsed on demand."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from tornado.escape import parse_qs_bytes
from tornado.httputil import HTTPServerRequest, split_host_and_port

from server.errors import ApiError
from server.net.http.headers import by_name

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine

MAX_QUERY_PARAMETERS = 1000
MAX_HOST_CHARS = 300  # a name has 253 at most, and a port behind it
_ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(.*)", re.IGNORECASE)
# RFC 3986, section 3.2.2, without the comma: a comma means several headers, perhaps joined by a proxy.
_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")


class Request(HTTPServerRequest):
    """A request whose head is complete. Raises ApiError BAD_REQUEST unless it names exactly one host."""

    uri: str
    method: str
    remote_ip: str
    body = b""

    def __init__(
        self, connection: HTTPConnection, server_connection: object, start_line: RequestStartLine, headers: HTTPHeaders
    ) -> None:
        self.method, self.uri, self.version = start_line
        self.headers = headers
        self.connection = connection
        self.server_connection = server_connection
        context = getattr(connection, "context")  # noqa: B009 - not in HTTPConnection's interface, although Tornado uses it
        self.remote_ip, self.protocol = context.remote_ip, context.protocol
        self.host = _host(headers, self.version)
        if not self.uri.startswith("/"):
            self._take_absolute()
        self.path, _, self.query = self.uri.partition("?")
        self._began = time.monotonic()

    def _take_absolute(self) -> None:
        """Accept an absolute URI, whose host takes precedence over the header's (RFC 9112, section 3.2.2)."""
        found = _ABSOLUTE.fullmatch(self.uri)
        if found:
            authority, path, query = found.groups()
            if not authority:
                raise ApiError("BAD_REQUEST", "the address has no host")
            self.headers["Host"] = authority
            self.host = _host(self.headers, self.version)
            self.uri = f"{path or '/'}{query}"

    def request_time(self) -> float:
        """Seconds since the head was complete."""
        return time.monotonic() - self._began

    def __getattr__(self, name: str) -> Any:
        """Parse an attribute on first use. Raises ApiError BAD_REQUEST for a query with too many parameters."""
        make = _ON_DEMAND.get(name)
        if make is None:
            raise AttributeError(name)
        made = self.__dict__[name] = make(self)
        return made


def _query_arguments(request: Request) -> dict[str, list[bytes]]:
    try:
        return parse_qs_bytes(request.query, keep_blank_values=True, max_num_fields=MAX_QUERY_PARAMETERS)
    except ValueError:
        raise ApiError("BAD_REQUEST", "the query has too many parameters") from None


# HTTPServerRequest parses these for every request. Tornado adds a form's fields to the last three.
_ON_DEMAND: dict[str, Callable[[Request], Any]] = {
    "query_arguments": _query_arguments,
    "host_name": lambda request: split_host_and_port(request.host.lower())[0],
    "arguments": lambda request: {name: list(values) for name, values in request.query_arguments.items()},
    "body_arguments": lambda _request: {},
    "files": lambda _request: {},
}


def _host(headers: HTTPHeaders, version: str) -> str:
    host = by_name(headers).get("Host")
    if host is None:
        if version == "HTTP/1.0":
            return "127.0.0.1"
        raise ApiError("BAD_REQUEST", "Missing Host header")
    if len(host) > MAX_HOST_CHARS or not _is_host(host):
        raise ApiError("BAD_REQUEST", "Multiple hosts" if "," in host else "Invalid Host header")
    return host


@lru_cache(512)
def _is_host(text: str) -> bool:
    return _HOST.fullmatch(text) is not None
