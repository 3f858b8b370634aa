"""The headers, the metric and the log line of every answer."""

from __future__ import annotations

import re
import time
from functools import lru_cache
from http.client import responses
from typing import TYPE_CHECKING, ClassVar

from tornado.httputil import ResponseStartLine, format_timestamp

from server.net.http.headers import Headers
from server.telemetry.log import is_told, tell
from server.telemetry.traceparent import random_id

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from server.telemetry.metrics import Metrics

MAX_METHOD_CHARS = 16  # of an unknown method, in the log

_REQUEST_ID = re.compile(r"[A-Za-z0-9_-]{8,64}")
_DEFAULT_HEADERS = {
    "Server": "jarvis-gateway",
    "Content-Type": "application/json",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class _Second:
    """The headers that all answers of one second share."""

    number = 0
    headers: ClassVar[dict[str, str]] = {}

    @classmethod
    def now(cls) -> dict[str, str]:
        second = int(time.time())
        if second != cls.number:
            cls.number, cls.headers = second, {**_DEFAULT_HEADERS, "Date": format_timestamp(second)}
        return cls.headers


@lru_cache
def start_line(status: int) -> ResponseStartLine:
    """The first line of an answer."""
    return ResponseStartLine("HTTP/1.1", status, responses.get(status, "Unknown"))


def name_from(headers: Mapping[str, str]) -> str:
    """The request's id: the client's own if it is well-formed, else a random one."""
    given = headers.get("X-Request-ID")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else random_id(16)


def answer_headers(request_id: str) -> Headers:
    """The headers of every answer."""
    return Headers({**_Second.now(), "X-Request-ID": request_id})


def account(
    metrics: Metrics,
    level: int,
    method: str,
    endpoint: str,
    status: int,
    seconds: float,
    fields: Callable[[], Mapping[str, str]],
) -> None:
    """Count and log an answer. `endpoint` is the route's template; `fields` gives more fields, if a line is written."""
    method = method[:MAX_METHOD_CHARS]
    metrics.request(method, endpoint, status, seconds)
    if not is_told(level):
        return
    known = {"method": method, "endpoint": endpoint, "status": status, "ms": round(seconds * 1000, 2)}
    tell("http", level, "request", {**known, **fields()})
