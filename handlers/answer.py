"""What every answer has: its headers, its metric and its log line."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Protocol

from tornado.httputil import format_timestamp

from server.telemetry.log import tell
from server.telemetry.traceparent import random_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from server.telemetry.metrics import Metrics

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


class GivenHeaders(Protocol):
    """Of a request."""

    def get(self, name: str, /) -> str | None:
        """As of a dict, in any case."""


def name_from(headers: GivenHeaders) -> str:
    """The request's name that the client gave it, if it is one; else one of ours."""
    given = headers.get("X-Request-ID")
    return given if given is not None and _REQUEST_ID.fullmatch(given) else random_id(16)


def answer_headers(request_id: str) -> dict[str, str]:
    """What every answer has."""
    return {**_DEFAULT_HEADERS, "Date": _Date.now(), "X-Request-ID": request_id}


def account(
    metrics: Metrics, level: int, method: str, endpoint: str, status: int, seconds: float, fields: Mapping[str, str]
) -> None:
    """The metric and the log line of an answer; `endpoint` is the route's template, `fields` more of the line."""
    method = method[:MAX_METHOD_CHARS]
    metrics.request(method, endpoint, status, seconds)
    known = {"method": method, "endpoint": endpoint, "status": status, "ms": round(seconds * 1000, 2)}
    tell("http", level, "request", {**known, **fields})
