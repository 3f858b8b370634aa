"""What stands between Tornado's parser and a handler: framing that could smuggle is refused, bodies are bounded.

Tornado answers an oversized body with a bare 400 and cuts the connection, honours chunked bodies in HTTP/1.0 (which a
proxy in front may read as two requests), and sends `100 Continue` before anybody looked at the size. Here each becomes
a problem document, in time.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any, Protocol

from tornado import httputil

from server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable

# A body this much over its limit is read to its end and forgotten: closing while a client still sends makes its kernel
# drop our answer (RFC 9112, section 9.6). Beyond that the answer goes out at once, for those who read it.
SPILL_BYTES = 256 * 1024


class Delegates(Protocol):
    """Where message delegates come from: the application."""

    def problem(
        self, request: httputil.HTTPServerRequest, refusal: ApiError, *, early: bool = False
    ) -> httputil.HTTPMessageDelegate:
        """One that answers with this problem: `early` on the headers, else once the request is complete."""


class BodyGuard(httputil.HTTPMessageDelegate):
    """Wraps the delegate of one request."""

    def __init__(
        self,
        delegates: Delegates,
        request: httputil.HTTPServerRequest,
        delegate: httputil.HTTPMessageDelegate,
        limit_bytes: int,
    ) -> None:
        self._delegates = delegates
        self._request = request
        self._delegate = delegate
        self._limit_bytes = limit_bytes
        self._received_bytes = 0
        self._spilling = False

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        """Refuse what can be refused by its headers; else pass on."""
        connection: Any = self._request.connection
        connection.set_max_body_size(sys.maxsize)  # counted here, where an answer can be given
        chunked = "Transfer-Encoding" in headers
        if chunked and self._request.version != "HTTP/1.1":
            return self._refuse(ApiError("BAD_REQUEST", "chunked bodies came with HTTP/1.1 (RFC 9112, section 6.1)"))
        announced = headers.get("Content-Length", "")
        announced_bytes = int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 20 else 0
        if announced_bytes > self._limit_bytes:
            if announced_bytes > self._limit_bytes + SPILL_BYTES or "Expect" in headers:
                return self._refuse(self._too_large())
            self._spilling = True
            return None
        return self._delegate.headers_received(start_line, headers)

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Count, and pass on what fits."""
        self._received_bytes += len(chunk)
        if self._received_bytes <= self._limit_bytes and not self._spilling:
            return self._delegate.data_received(chunk)
        if not self._spilling:
            self._spilling = True
            self._delegate.on_connection_close()  # whoever was taking the body stops here
        if self._received_bytes > self._limit_bytes + SPILL_BYTES:
            return self._refuse(self._too_large())
        return None

    def finish(self) -> None:
        """The body is complete."""
        if self._spilling:
            self._delegates.problem(self._request, self._too_large()).finish()
        else:
            self._delegate.finish()

    def on_connection_close(self) -> None:
        """The client is gone before its request was complete."""
        if not self._spilling:
            self._delegate.on_connection_close()

    def _too_large(self) -> ApiError:
        return ApiError("BODY_TOO_LARGE", f"the body may have at most {self._limit_bytes:,} bytes")

    def _refuse(self, refusal: ApiError) -> Awaitable[None] | None:
        """Answer now, and read no further."""
        delegate = self._delegates.problem(self._request, refusal, early=True)
        start_line = httputil.RequestStartLine(
            self._request.method or "", self._request.uri or "", self._request.version
        )
        return delegate.headers_received(start_line, self._request.headers)
