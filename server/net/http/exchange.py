"""One request and its answer: framing that could smuggle is refused, bodies are bounded, answers end where they have to.

Whatever is refused is refused in the one error form, in time: before `100 Continue`, and before a handler has begun.
"""

from __future__ import annotations

from http.client import responses
from typing import TYPE_CHECKING, Protocol

import structlog
from tornado.httputil import HTTPConnection, HTTPHeaders, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

from server.errors import ApiError
from server.net.http.handover import stream_of
from server.net.http.request import Head, Request

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable, Mapping

    from tornado.iostream import IOStream

    from server.net.http.connection import Connection
    from server.net.http.handover import Upgraded
    from server.net.http.request import Headers

log = structlog.get_logger(__name__)

# A body this much over its limit is read to its end and forgotten: closing while a client still sends makes its kernel
# drop our answer (RFC 9112, section 9.6). Beyond that the answer goes out at once, for those who read it.
SPILL_BYTES = 1024 * 1024
SWITCHING_PROTOCOLS = 101
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
BODILESS = frozenset({204, 304})


class Receiver(Protocol):
    """Who takes a request in: its handler."""

    def headers_received(self) -> asyncio.Future[None] | None:
        """The body begins; when it may come, if not at once."""

    def data_received(self, chunk: bytes) -> None:
        """A piece of the body."""

    def finish(self) -> None:
        """The request is complete."""

    def on_connection_close(self) -> None:
        """Its client has gone: nothing else comes."""

    def overrule(self) -> None:
        """Its body is refused: nothing else comes, and the answer is given elsewhere."""


class Delegates(Protocol):
    """Where requests go: the application."""

    def accept(self, request: Request) -> tuple[Receiver, int]:
        """Who takes a request whose headers are there, and the most bytes its body may have."""

    def problem(self, request: Request, refusal: ApiError, *, early: bool = False) -> Receiver:
        """One that answers with this problem: `early` on the headers, else once the request is complete."""

    def last_answer(self, refusal: ApiError, head: Head) -> bytes:
        """All bytes of an answer to what never became a request."""


class Exchange(HTTPConnection):
    """A request on its way to its handler, and what the handler writes. For Tornado's WebSocket, its HTTPConnection.

    It begins when those before it on the connection are answered; what comes of its body until then waits.
    """

    protocol = "http"  # where TLS is spoken it ends before us

    def __init__(
        self, connection: Connection, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool
    ) -> None:
        self.whole = False  # is the request complete?
        self.answered = False
        self.head_written = False
        self.keeps_alive = keeps_alive
        self._chunked = "Transfer-Encoding" in headers
        self._received_bytes = 0  # of the body
        self._connection = connection
        self._start_line = start_line
        self._headers = headers
        self._request: Request | None = None
        self._delegate: Receiver | None = None
        self._limit_bytes = 0
        self._spilling = self._refused = False
        self._early: list[bytes] = []  # of its body, before its handler was ready
        self._preparing: asyncio.Future[None] | None = None
        self._chunks_out = False
        self._close_callback: Callable[[], None] | None = None
        self._refusal: ApiError | None = None  # it was broken before it began
        self._switch = b""  # the head of a 101

    # --- the request ---

    @property
    def has_body(self) -> bool:
        """Does its head announce one, if only an empty one?"""
        return self._chunked or "Content-Length" in self._headers

    @property
    def takes_body(self) -> bool:
        """May the next piece of the body come? Not while nobody has begun with it."""
        return self._delegate is not None and self._preparing is None

    def begin(self) -> None:
        """Its turn: find who serves it, and pass on what has come."""
        if self._refusal is not None:
            self.break_off(self._refusal)
            return
        start_line = self._start_line
        if start_line.version not in {"HTTP/1.1", "HTTP/1.0"}:
            self.break_off(ApiError("BAD_REQUEST", "only the versions 1.0 and 1.1 of HTTP are spoken here"))
            return
        try:
            request = self._request = Request(self, start_line, self._headers)
        except ApiError as refusal:
            self.break_off(refusal)
            return
        self._delegate, self._limit_bytes = self._connection.delegates.accept(request)
        prepared = self._checked()
        if prepared is not None:
            self._preparing = prepared
            prepared.add_done_callback(self._prepared)
        else:
            self._go_on()

    def _checked(self) -> asyncio.Future[None] | None:
        """Refuse what can be refused by its headers; else pass them on."""
        headers = self._headers
        if self._chunked:
            if self._start_line.version != "HTTP/1.1":
                return self._refuse(
                    ApiError("BAD_REQUEST", "chunked bodies came with HTTP/1.1 (RFC 9112, section 6.1)")
                )
            if headers["Transfer-Encoding"].lower() != "chunked":
                return self._refuse(ApiError("BAD_REQUEST", "the only Transfer-Encoding read here is chunked"))
        announced_bytes = int(headers.get("Content-Length", "0"))  # the parser has seen to that it is a number
        assert self._delegate is not None
        if announced_bytes <= self._limit_bytes:
            return self._delegate.headers_received()
        self._spilling = True
        if announced_bytes > self._limit_bytes + SPILL_BYTES or "Expect" in headers:
            return self._refuse(self._too_large())
        return None

    def _prepared(self, _prepared: asyncio.Future[None]) -> None:
        self._preparing = None
        self._go_on()
        self._connection.pump()

    def _go_on(self) -> None:
        """With the body."""
        if self.answered or self._refused or self._connection.lost:
            return
        if not self.whole and not self.head_written and self._expects_continue():
            self._connection.write(_CONTINUE)
        early, self._early = self._early, []
        for chunk in early:
            self._pass_on(chunk)
        if self.whole:
            self._finish_request()

    def _expects_continue(self) -> bool:
        """HTTP/1.0 knows no answer before the answer (RFC 9110, section 10.1.1)."""
        return self._headers.get("Expect", "").lower() == "100-continue" and self._start_line.version == "HTTP/1.1"

    def body(self, chunk: bytes) -> None:
        """A piece of the body came."""
        self._received_bytes += len(chunk)
        if self.takes_body:
            self._pass_on(chunk)
        else:
            self._early.append(chunk)

    def _pass_on(self, chunk: bytes) -> None:
        """Count, and pass on what fits."""
        if self._refused or self._delegate is None:
            return
        if self._received_bytes <= self._limit_bytes and not self._spilling:
            self._delegate.data_received(chunk)
            return
        if not self._spilling:
            self._spilling = True
            self._delegate.overrule()  # whoever was taking the body stops here
        if self._received_bytes > self._limit_bytes + SPILL_BYTES:
            self._refuse(self._too_large())

    def complete(self) -> None:
        """The body is complete."""
        self.whole = True
        if self.takes_body and not self._refused:
            self._finish_request()

    def _finish_request(self) -> None:
        assert self._request is not None
        assert self._delegate is not None
        if self._spilling:
            self._connection.delegates.problem(self._request, self._too_large()).finish()
        else:
            self._delegate.finish()

    def _too_large(self) -> ApiError:
        return ApiError("BODY_TOO_LARGE", f"the body may have at most {self._limit_bytes:,} bytes")

    def _refuse(self, refusal: ApiError) -> asyncio.Future[None] | None:
        """Answer now, and read no further."""
        assert self._request is not None
        self._refused = True
        self._delegate = self._connection.delegates.problem(self._request, refusal, early=True)
        return self._delegate.headers_received()

    def break_off(self, refusal: ApiError) -> None:
        """The request will never be complete, or never was one: the last answer of the connection."""
        if self._delegate is None and self._refusal is None and not self._connection.is_at(self):
            self._refusal = refusal  # others come first
            return
        if self.head_written:
            self._connection.abort()
            return
        self.head_written = self.answered = True
        self._connection.write(self._connection.delegates.last_answer(refusal, self._head()))
        if self._delegate is not None and not self._spilling:
            self._delegate.overrule()
        self._connection.end(lingers=True)

    def _head(self) -> Head:
        start_line, request = self._start_line, self._request
        if request is None:
            return Head(start_line.method, start_line.path, self._headers)
        return Head(request.method, request.path, request.headers, request.seconds)

    def lost(self) -> None:
        """The client is gone."""
        if self._delegate is not None and not self._spilling:
            self._delegate.on_connection_close()
        callback, self._close_callback = self._close_callback, None
        if callback is not None:
            callback()

    # --- the answer ---

    @property
    def remote_ip(self) -> str:
        """The peer's address; of a Unix socket, which has none, 0.0.0.0."""
        return self._connection.remote_ip

    def answer(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """All of it at once. Raises ValueError for a header that would end its line."""
        if self.answered:
            return  # another answer was given
        if status not in BODILESS:
            headers["Content-Length"] = str(len(body))
        self._write_head(status, headers, body)
        self.finish()

    def begin_answer(self, status: int, headers: dict[str, str]) -> None:
        """One in pieces. Raises ValueError for a header that would end its line."""
        if self._start_line.version != "HTTP/1.1":
            self.keeps_alive = False  # the end of the connection is the end of the answer
        else:
            headers["Transfer-Encoding"] = "chunked"
            self._chunks_out = True
        self._write_head(status, headers, b"")

    def _write_head(self, status: int, headers: dict[str, str], body: bytes) -> None:
        """With what may follow it at once."""
        if not self.whole or headers.get("Connection", "").lower() == "close":
            self.keeps_alive = False  # the rest of the request is not read
        if not self.keeps_alive:
            headers["Connection"] = "close"
        elif self._start_line.version == "HTTP/1.0":
            headers["Connection"] = "keep-alive"
        head = head_bytes(status, headers)
        self.head_written = True
        self._connection.write(head if self._start_line.method == "HEAD" else head + body)

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """The next piece of an answer that has begun."""
        self._connection.write(self._as_chunk(chunk))
        return self._connection.drained()

    def _as_chunk(self, data: bytes) -> bytes:
        """RFC 9112, section 7.1; an empty chunk would end the answer."""
        if not self._chunks_out or not data:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    def finish(self) -> None:
        """The answer is complete."""
        if self._switch:
            return  # it becomes a WebSocket
        if self._chunks_out:
            self._connection.write(b"0\r\n\r\n")
        self.answered = True
        self._delegate = self._request = self._close_callback = None  # which hold us
        self._connection.answered(self)

    def abort(self) -> None:
        """End the connection in the middle of the answer: nobody shall take it for whole."""
        self._connection.abort()

    # --- what Tornado's WebSocket asks of its HTTPConnection beside ---

    @property
    def context(self) -> Exchange:
        """Who knows `remote_ip` and `protocol`."""
        return self

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Called when the client leaves before the handshake is done."""
        self._close_callback = callback

    def write_headers(
        self, start_line: RequestStartLine | ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """The handshake, or all of its refusal."""
        assert isinstance(start_line, ResponseStartLine)
        told = dict(headers.get_all())
        if start_line.code == SWITCHING_PROTOCOLS:
            self._connection.check_upgrade()
            self.head_written = True
            self._switch = head_bytes(start_line.code, told)  # sent by whoever takes the connection
            return self._connection.drained()
        self._write_head(start_line.code, told, chunk or b"")
        return self._connection.drained()

    def detach(self) -> IOStream:
        """The connection as a stream, as Tornado's WebSocket wants it. Raises StreamClosedError when it is lost."""
        head, upgraded = self._give_away()
        try:
            stream = stream_of(upgraded)
        except OSError as failed:
            log.warning("a WebSocket could not be opened", reason=failed.strerror or str(failed))
            raise StreamClosedError from None
        stream.write(head)
        return stream

    def detach_transport(self) -> Upgraded:
        """The connection as the loop's transport, the 101 written. Raises StreamClosedError when it is lost."""
        head, upgraded = self._give_away()
        upgraded.transport.write(head)
        return upgraded

    def _give_away(self) -> tuple[bytes, Upgraded]:
        """A WebSocket lives for hours, and needs nothing of what brought its request here."""
        assert self._switch, "no protocol was switched to"
        head, upgraded = self._switch, self._connection.upgrade()
        del self._connection, self._headers
        self._delegate = self._request = self._close_callback = None
        return head, upgraded


class Unread:
    """What was to become a request and broke before it was one."""

    def __init__(self, connection: Connection, refusal: ApiError) -> None:
        self._connection = connection
        self._refusal = refusal

    def begin(self) -> None:
        """Its turn."""
        connection = self._connection
        connection.write(connection.delegates.last_answer(self._refusal, Head()))
        connection.end(lingers=True)

    def lost(self) -> None:
        """The client is gone: nobody to tell."""


def head_bytes(status: int, headers: Mapping[str, str]) -> bytes:
    """Up to the empty line. Raises ValueError for a header that would end its line."""
    lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header with a line end in it")
    return f"{head}\r\n\r\n".encode("latin-1")
