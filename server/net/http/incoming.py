"""Stands between a reader and a handler: refuses framing that allows request smuggling, and limits the body.

It uses Tornado's interfaces on both sides, so it also guards requests read by Tornado's own HTTPServer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tornado.httputil import HTTPMessageDelegate, RequestStartLine

from server.errors import ApiError
from server.net.http.headers import announces_body, by_name
from server.net.http.interfaces import UnreadableHead, tell_refused
from server.net.http.request import Request

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tornado.httputil import HTTPConnection, HTTPHeaders, ResponseStartLine

    from server.net.http.interfaces import Routes

# A body that exceeds its limit by up to this much is read to its end and dropped: if we closed while the client is still sending,
# its kernel would discard our answer (RFC 9112, section 9.6). Beyond it we answer at once, for clients that read while sending.
SPILL_BYTES = 1024 * 1024
MAX_LENGTH_DIGITS = 18  # the digits of a signed 64-bit number, which Python parses quickly


class IncomingRequest(HTTPMessageDelegate):
    """Returned by `start_request`. Refusals are sent before the body: before 100 Continue, and before a handler begins."""

    _request: Request
    _delegate: HTTPMessageDelegate | None = None  # None once the request is refused
    _limit_bytes = 0
    _received_bytes = 0
    _spilling = False  # the body is too large, and its rest is dropped

    def __init__(self, routes: Routes, server_conn: object, request_conn: HTTPConnection) -> None:
        self._routes = routes
        self._server_conn = server_conn
        self._request_conn = request_conn

    def headers_received(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders
    ) -> Awaitable[None] | None:
        """Find the handler, or refuse."""
        assert isinstance(start_line, RequestStartLine)
        try:
            request = self._request = Request(self._request_conn, self._server_conn, start_line, headers)
        except ApiError as refusal:
            head = UnreadableHead(start_line.method, start_line.path, headers)
            self._routes.refuse_unreadable(self._request_conn, refusal, head)
            return None
        delegate = self._routes.find_handler(request)
        if announces_body(headers):
            refusal_of_body = self._check_body(start_line, headers, delegate)
            if refusal_of_body is not None:
                self._routes.refuse_request(request, refusal_of_body, last=True)
                return None
        self._delegate = delegate
        return None if self._spilling else delegate.headers_received(start_line, headers)

    def _check_body(
        self, start_line: RequestStartLine, headers: HTTPHeaders, delegate: HTTPMessageDelegate
    ) -> ApiError | None:
        """Refuse a body because of its headers."""
        self._limit_bytes = self._routes.body_limit_bytes(delegate)
        known = by_name(headers)
        length = known.get("Content-Length", "0")
        if "Transfer-Encoding" in known:
            if "Content-Length" in known:
                return ApiError("BAD_REQUEST", "Content-Length can't be present with Transfer-Encoding")
            if start_line.version != "HTTP/1.1":
                return ApiError("BAD_REQUEST", "chunked bodies came with HTTP/1.1 (RFC 9112, section 6.1)")
            if known["Transfer-Encoding"].lower() != "chunked":
                return ApiError("BAD_REQUEST", "the only Transfer-Encoding read here is chunked")
        if not (length.isascii() and length.isdigit() and len(length) <= MAX_LENGTH_DIGITS):
            return ApiError("BAD_REQUEST", "Content-Length is not a number")
        announced_bytes = int(length)
        self._spilling = announced_bytes > self._limit_bytes
        if self._spilling and (announced_bytes > self._limit_bytes + SPILL_BYTES or "Expect" in known):
            return self._too_large()
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Count the body, and pass on what is within the limit."""
        if self._delegate is None:
            return None
        self._received_bytes += len(chunk)
        if self._received_bytes <= self._limit_bytes and not self._spilling:
            return self._delegate.data_received(chunk)
        if not self._spilling:
            self._spilling = True
            tell_refused(self._delegate)
        if self._received_bytes > self._limit_bytes + SPILL_BYTES:
            self._delegate = None
            self._routes.refuse_request(self._request, self._too_large(), last=True)
        return None

    def finish(self) -> None:
        """The body is complete."""
        if self._delegate is None:
            return
        if self._spilling:
            self._routes.refuse_request(self._request, self._too_large(), last=False)
        else:
            self._delegate.finish()

    def on_connection_close(self) -> None:
        """The client left while sending its body."""
        if self._delegate is not None and not self._spilling:
            self._delegate.on_connection_close()

    def on_request_refused(self) -> None:
        """The reader cannot continue, and answers the request itself."""
        delegate, self._delegate = self._delegate, None
        if delegate is not None and not self._spilling:
            tell_refused(delegate)

    def _too_large(self) -> ApiError:
        return ApiError("BODY_TOO_LARGE", f"the body may have at most {self._limit_bytes:,} bytes")
