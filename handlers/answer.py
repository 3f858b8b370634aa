"""One complete answer: its headers, its way to the client in one piece, its metric and its log line."""

from __future__ import annotations

import asyncio
import re
import time
from http.client import responses
from typing import TYPE_CHECKING, Any

from tornado.httputil import HTTPHeaders, ResponseStartLine, format_timestamp

from server.log import tell
from server.traceparent import random_id

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest
    from tornado.iostream import IOStream

    from server.metrics import Metrics

WRITE_TIMEOUT_S = 30.0  # a client that has not taken its answer by then is not reading
MAX_METHOD_CHARS = 16  # of an invented one, in the log

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_DEFAULT_HEADERS = {
    "Server": "jarvis-gateway",
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class _Date:
    """The Date header: made once a second."""

    second = 0
    text = ""

    @classmethod
    def now(cls) -> str:
        second = int(time.time())
        if second != cls.second:
            cls.second, cls.text = second, format_timestamp(second)
        return cls.text


def name_request(request: HTTPServerRequest) -> str:
    """The name that the client gave it, if it is one; else one of ours."""
    return name_from(request.headers)


def name_from(headers: HTTPHeaders) -> str:
    """The same, where there is no more than headers."""
    given = headers.get("X-Request-ID")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else random_id(16)


def answer_headers(request_id: str) -> HTTPHeaders:
    """What every answer has."""
    headers = HTTPHeaders(_DEFAULT_HEADERS)
    headers["Date"] = _Date.now()
    headers["X-Request-ID"] = request_id
    return headers


def write_answer(request: HTTPServerRequest, status: int, headers: HTTPHeaders, body: bytes) -> None:
    """Head and body at once, and the end. Raises ValueError for a header that would end its line."""
    connection: Any = request.connection
    headers["Content-Length"] = str(len(body))
    if request.method != "HEAD" and _stays_open(request):
        # Already encoded, as Tornado's `write` allows: its `write_headers` looks at each line by itself, which is a quarter
        # of all the work that `/live` makes.
        written = connection.write(head_bytes(status, headers) + body)
    else:
        start = ResponseStartLine("HTTP/1.1", status, responses.get(status, "Unknown"))
        written = connection.write_headers(start, headers, b"" if request.method == "HEAD" else body)
    connection.finish()
    cut_if_unread(connection.stream, written)


def _stays_open(request: HTTPServerRequest) -> bool:
    """RFC 9112 section 9.3, as Tornado decides it. Where it does not, or asks HTTP/1.0's way, Tornado adds a header."""
    return request.version == "HTTP/1.1" and request.headers.get("Connection", "").lower() != "close"


def head_bytes(status: int, headers: HTTPHeaders) -> bytes:
    """Up to the empty line. Raises ValueError for a header that would end its line."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.get_all()]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header with a line end in it")
    return f"{head}\r\n\r\n".encode("latin-1")


def cut_if_unread(stream: IOStream | None, written: asyncio.Future[None]) -> None:
    """A client that does not read its answer must not keep it in our memory for ever."""
    if stream is not None and stream.writing():
        asyncio.get_running_loop().call_later(WRITE_TIMEOUT_S, _cut_unread, stream, written)


def _cut_unread(stream: IOStream, written: asyncio.Future[None]) -> None:
    if not written.done():
        stream.close()


def account(
    metrics: Metrics, level: int, request: HTTPServerRequest, endpoint: str, status: int, fields: dict[str, str]
) -> None:
    """The metric and the log line of an answer; `endpoint` is the route's template, `fields` more of the line."""
    account_for(metrics, level, request.method or "", endpoint, status, request.request_time(), fields)


def account_for(
    metrics: Metrics, level: int, method: str, endpoint: str, status: int, seconds: float, fields: dict[str, str]
) -> None:
    """The same, where no request came of it."""
    method = method[:MAX_METHOD_CHARS]
    metrics.request(method, endpoint, status, seconds)
    known = {"method": method, "endpoint": endpoint, "status": status, "ms": round(seconds * 1000, 2)}
    tell("http", level, "request", known | fields)
