"""What stands between Tornado's parser and a handler: framing that could smuggle is refused, bodies are bounded.

Tornado answers an oversized body with a bare 400 and cuts the connection, honours chunked bodies in HTTP/1.0 (which a
proxy in front may read as two requests), and sends `100 Continue` before anybody looked at the size. Here each becomes
a problem document, in time.

The same for what Tornado's parser can't read at all, which server/stream.py asks for.
"""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from tornado import httputil

from server.errors import ApiError

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from server.stream import GatewayStream

# A body this much over its limit is read to its end and forgotten: closing while a client still sends makes its kernel
# drop our answer (RFC 9112, section 9.6). Beyond that the answer goes out at once, for those who read it.
SPILL_BYTES = 1024 * 1024
MAX_REASON_CHARS = 200  # Tornado's reasons quote what they refuse
_ABSOLUTE = re.compile(r"https?://([^/?]*)([^?]*)(.*)", re.IGNORECASE)


class Request(httputil.HTTPServerRequest):
    """A request whose body is nobody's form but its handler's."""

    overruled = False  # the intake answers it: the handler that has begun with its body neither counts nor logs it

    def __init__(
        self,
        connection: httputil.HTTPConnection,
        server_connection: object,
        start_line: httputil.RequestStartLine,
        headers: httputil.HTTPHeaders,
    ) -> None:
        whole: dict[str, Any] = {"connection": connection, "server_connection": server_connection, "headers": headers}
        super().__init__(**whole, start_line=start_line)
        if not start_line.path.startswith("/") and (found := _ABSOLUTE.fullmatch(start_line.path)):
            # RFC 9112 section 3.2.2: a server accepts it, and its host counts. Tornado looks at that as at the other.
            authority, path, query = found.groups()
            if not authority:
                raise httputil.HTTPInputError("the address has no host")
            headers["Host"] = authority
            super().__init__(**whole, start_line=start_line._replace(path=f"{path or '/'}{query}"))

    def _parse_body(self) -> None:
        """Tornado would read forms before anybody asked for one, and answer those it can't read with a 400."""


@dataclass(slots=True)
class Head:
    """What is known of something that was to become a request: possibly nothing."""

    method: str = ""
    path: str = ""
    headers: httputil.HTTPHeaders = field(default_factory=httputil.HTTPHeaders)
    seconds: float = 0.0  # since its headers were there


_NO_HEAD = Head()


class Delegates(Protocol):
    """Where requests go: the application."""

    def accept(self, request: Request) -> tuple[httputil.HTTPMessageDelegate, int]:
        """The delegate of a request whose headers are there, and the most bytes its body may have."""

    def problem(self, request: Request, refusal: ApiError, *, early: bool = False) -> httputil.HTTPMessageDelegate:
        """One that answers with this problem: `early` on the headers, else once the request is complete."""

    def last_answer(self, refusal: ApiError, head: Head) -> bytes:
        """All bytes of an answer to what never became a request."""


class Intake(httputil.HTTPMessageDelegate):
    """One request on its way to its handler."""

    def __init__(self, delegates: Delegates, server_connection: object, connection: httputil.HTTPConnection) -> None:
        self._delegates = delegates
        self._server_connection = server_connection
        self._connection: Any = connection
        self._request: Request | None = None
        self._delegate: httputil.HTTPMessageDelegate | None = None
        self._limit_bytes = 0
        self._received_bytes = 0
        self._spilling = False
        self._head = _NO_HEAD

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        """Refuse what can be refused by its headers; else pass on. Raises HTTPInputError."""
        assert isinstance(start_line, httputil.RequestStartLine)
        request = self._request = self._made(start_line, headers)
        self._delegate, self._limit_bytes = self._delegates.accept(request)
        self._connection.set_max_body_size(sys.maxsize)  # counted here, where an answer can be given
        if "Transfer-Encoding" in headers and request.version != "HTTP/1.1":
            return self._refuse(ApiError("BAD_REQUEST", "chunked bodies came with HTTP/1.1 (RFC 9112, section 6.1)"))
        announced_bytes = _announced(headers)
        if announced_bytes <= self._limit_bytes:
            return self._delegate.headers_received(start_line, headers)
        self._spilling = True
        if announced_bytes > self._limit_bytes + SPILL_BYTES or "Expect" in headers:
            return self._refuse(self._too_large())
        return None

    def data_received(self, chunk: bytes) -> Awaitable[None] | None:
        """Count, and pass on what fits."""
        assert self._delegate is not None
        self._received_bytes += len(chunk)
        if self._received_bytes <= self._limit_bytes and not self._spilling:
            return self._delegate.data_received(chunk)
        if not self._spilling:
            self._spilling = True
            self._overrule()
            self._delegate.on_connection_close()  # whoever was taking the body stops here
        if self._received_bytes > self._limit_bytes + SPILL_BYTES:
            return self._refuse(self._too_large())
        return None

    def finish(self) -> None:
        """The body is complete."""
        assert self._delegate is not None
        assert self._request is not None
        self.stream.reader = None  # all is read
        if self._spilling:
            self._delegates.problem(self._request, self._too_large()).finish()
        else:
            self._delegate.finish()

    def on_connection_close(self) -> None:
        """The client is gone before its request was complete."""
        if self._delegate is not None and not self._spilling:
            self._delegate.on_connection_close()

    @property
    def stream(self) -> GatewayStream:
        """The connection's; not once a WebSocket has taken it."""
        stream: GatewayStream = self._connection.stream
        return stream

    def unreadable(self, reason: str) -> bytes:
        """As Reader."""
        return self.last_answer(ApiError("BAD_REQUEST", reason[:MAX_REASON_CHARS]))

    def overlong(self) -> bytes:
        """As Reader."""
        if self._request is not None:
            return self.unreadable("the size of a chunk has no end")
        return self.last_answer(ApiError("HEADERS_TOO_LARGE"))

    def last_answer(self, refusal: ApiError) -> bytes:
        """The answer to a request that comes to no handler, or not whole; nothing when one was given already."""
        if self._connection._write_finished:  # noqa: SLF001 - Tornado knows, and has no other way to ask
            return b""
        request = self._request
        if request is not None:
            self._overrule()
            self._head = Head(request.method or "", request.path, request.headers, request.request_time())
        return self._delegates.last_answer(refusal, self._head)

    def _made(self, start_line: httputil.RequestStartLine, headers: httputil.HTTPHeaders) -> Request:
        try:
            return Request(self._connection, self._server_connection, start_line, headers)
        except httputil.HTTPInputError:
            self._head = Head(start_line.method, start_line.path, headers)
            raise

    def _overrule(self) -> None:
        assert self._request is not None
        self._request.overruled = True

    def _too_large(self) -> ApiError:
        return ApiError("BODY_TOO_LARGE", f"the body may have at most {self._limit_bytes:,} bytes")

    def _refuse(self, refusal: ApiError) -> Awaitable[None] | None:
        """Answer now, and read no further."""
        request = self._request
        assert request is not None
        self._delegate = self._delegates.problem(request, refusal, early=True)
        start_line = httputil.RequestStartLine(request.method or "", request.uri or "", request.version)
        return self._delegate.headers_received(start_line, request.headers)


def _announced(headers: httputil.HTTPHeaders) -> int:
    """Content-Length; 0 for none, and for nonsense, which Tornado refuses."""
    announced = headers.get("Content-Length")
    if announced is None or not (announced.isascii() and announced.isdigit()):
        return 0
    return int(announced) if len(announced) < 20 else sys.maxsize
