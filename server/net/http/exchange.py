"""One request and its answer: a `tornado.httputil.HTTPConnection` on our own connection."""

from __future__ import annotations

import asyncio
from collections import deque
from time import monotonic
from typing import TYPE_CHECKING, Protocol

import structlog
from tornado.gen import convert_yielded
from tornado.httputil import HTTPConnection, HTTPHeaders, HTTPOutputError, RequestStartLine, ResponseStartLine
from tornado.iostream import StreamClosedError

from server.errors import ApiError, without_frames
from server.net.http.handover import Upgraded, stream_of
from server.net.http.headers import Headers, announces_body, by_name
from server.net.http.interfaces import Refuse, UnreadableHead, tell_refused

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tornado.httputil import HTTPMessageDelegate, HTTPServerConnectionDelegate
    from tornado.iostream import IOStream

log = structlog.get_logger(__name__)

SWITCHING_PROTOCOLS = 101
BODILESS = frozenset({204, 304})
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_COMMENT = b":\n\n"  # between Server-Sent Events (HTML Standard, section 9.2.6)
ASK_S = 0.25  # after this long a client that sends no more is asked whether it is there; each time after twice as long
MOST_ASK_S = 2.0  # but no longer: two questions may go by until it is known that a client has left
SILENCE_S = 30.0  # whoever sends no more has left if an answer that cannot ask has had no next piece for so long


class Link(Protocol):
    """The connection, as seen by its exchanges."""

    remote_ip: str
    lost: bool
    half_closed: bool
    delegate: HTTPServerConnectionDelegate
    refuse: Refuse

    def is_at(self, exchange: Exchange) -> bool:
        """True if this exchange is being served."""

    def answered(self, exchange: Exchange) -> None:
        """The exchange's answer is complete."""

    def pump(self) -> None:
        """Parse what is waiting."""

    def write(self, data: bytes) -> None:
        """Send data."""

    def drained(self) -> asyncio.Future[None]:
        """A future that is done when there is room for more, or fails with StreamClosedError if the client has gone."""

    def check_upgrade(self) -> None:
        """Raises StreamClosedError, and closes the connection, if it cannot become a WebSocket."""

    def upgrade(self) -> Upgraded:
        """Stop speaking HTTP and give the transport away."""

    def abort(self) -> None:
        """Close the connection now."""


class Exchange(HTTPConnection):
    """A request for its delegate, and the answer that the delegate's side writes.

    It begins when earlier requests of the connection are answered; body that arrives before waits. `start_line` is None for input
    that is not a readable request.
    """

    protocol = "http"  # TLS ends in front of us
    # Most exchanges leave these as they are.
    whole = False  # the request is complete
    finished = False  # the answer is complete
    _delegate: HTTPMessageDelegate | None = None  # from begin() until the answer or the connection ends
    _held: asyncio.Future[None] | None = None  # the delegate accepts more when this is done
    _began = 0.0
    _refusal: ApiError | None = None  # for a request that failed before its turn
    _close_callback: Callable[[], None] | None = None
    _asking: asyncio.TimerHandle | None = None
    _head_written = False
    _wrote = False  # a piece of the answer, since it was last looked
    _left_bytes: int | None = None  # left of the answer's Content-Length
    _chunks_out = False
    _events = False  # the answer is Server-Sent Events
    _switch = b""  # the head of a 101, to be sent by whoever takes the connection

    def __init__(self, link: Link, start_line: RequestStartLine | None, headers: Headers, *, keeps_alive: bool) -> None:
        self.keeps_alive = keeps_alive
        self._link = link
        self._start_line = start_line
        self._headers: HTTPHeaders = headers
        self._waiting_body: deque[bytes] = deque()
        # HTTP/1.0 has no interim answers (RFC 9110, section 10.1.1).
        self._expects_continue = (
            "Expect" in headers.flat
            and headers.flat["Expect"].lower() == "100-continue"
            and start_line is not None
            and start_line.version == "HTTP/1.1"
        )

    # --- the request ---

    @property
    def has_body(self) -> bool:
        """True if a body was announced, even an empty one."""
        return announces_body(self._headers)

    @property
    def takes_body(self) -> bool:
        """True if the next piece of the body may come."""
        return self._delegate is not None and self._held is None

    def begin(self) -> None:
        """Its turn has come: pass it to the delegate, with the body received so far."""
        start_line = self._start_line
        if self._refusal is not None or start_line is None:
            self.break_off(self._refusal or ApiError("BAD_REQUEST"))
            return
        self._began = monotonic()
        delegate = self._delegate = self._link.delegate.start_request(self._link, self)
        self._hold(delegate.headers_received(start_line, self._headers))
        self._go_on()

    def begin_whole(self, body: bytes) -> None:
        """Its turn has come, and it has arrived whole."""
        self.whole = True
        if body:
            self._waiting_body.append(body)
        self.begin()

    def body(self, chunk: bytes) -> None:
        """A piece of the body arrived."""
        self._waiting_body.append(chunk)
        self._pass_on()

    def complete(self) -> None:
        """The body is complete."""
        self.whole = True
        self._go_on()

    def _hold(self, awaitable: Awaitable[None] | None) -> None:
        """If the delegate returned an awaitable, pass on nothing more until it is done."""
        if awaitable is not None and self._delegate is not None:
            self._held = convert_yielded(awaitable)
            self._held.add_done_callback(self._released)

    def _released(self, held: asyncio.Future[None]) -> None:
        self._held = None
        if held.cancelled() or held.exception() is not None:
            if self._delegate is not None:
                log.error(
                    "a request could not be taken in", exc_info=held.exception() if not held.cancelled() else None
                )
                self._link.abort()
            return
        self._go_on()
        self._link.pump()

    def _go_on(self) -> None:
        """Pass on what has arrived, if the delegate is ready."""
        if self._expects_continue and not self.whole and not self._head_written and self.takes_body:
            self._link.write(_CONTINUE)
            self._expects_continue = False
        self._pass_on()
        if self.whole and self._held is None and self._delegate is not None:
            self._delegate.finish()
            if self._delegate is not None and self._link.half_closed:  # and it is not answered yet
                self.half_closed()

    def _pass_on(self) -> None:
        while self._waiting_body and self._held is None and self._delegate is not None:
            self._hold(self._delegate.data_received(self._waiting_body.popleft()))

    def break_off(self, refusal: ApiError) -> None:
        """The request cannot be read to its end. Its refusal is the connection's last answer."""
        if not self._link.is_at(self):
            self._refusal = without_frames(refusal)  # earlier requests are answered first
            return
        if self._head_written:
            self._link.abort()
            return
        delegate, self._delegate = self._delegate, None
        if delegate is not None:
            tell_refused(delegate)
        self.keeps_alive = False
        self._link.refuse(self, refusal, self._head())

    def _head(self) -> UnreadableHead:
        start_line = self._start_line
        if start_line is None:
            return UnreadableHead()
        seconds = monotonic() - self._began
        return UnreadableHead(start_line.method, start_line.path, self._headers, seconds)

    def half_closed(self) -> None:
        """The client closed its sending side, perhaps before the turn of this request. Most have left; others, as `nc -N`, wait.

        100 Continue tells which, as any client may get one at any time (RFC 9110, section 15.2): if it has left, its kernel
        resets the connection, and writing the next one fails. Between events, a comment does the same, and in any other answer its next
        pieces do, if they come. HTTP/1.0 has no interim answers: until the answer begins, whoever closes has left.
        """
        if self._asking is not None:
            return
        if self._head_written and not self._events:
            self._ask_after(SILENCE_S)
        elif self._events or (self._start_line and self._start_line.version == "HTTP/1.1"):
            self._ask_after(ASK_S)
        else:
            self._client_left()

    def _ask_after(self, wait_s: float) -> None:
        self._asking = asyncio.get_running_loop().call_later(wait_s, self._ask, wait_s)

    def _ask(self, waited_s: float) -> None:
        if self._events or not self._head_written:
            self._ask_after(min(2 * waited_s, MOST_ASK_S))  # before the write, which may find that it has left
            self._link.write(self._framed(_COMMENT) if self._events else _CONTINUE)
        elif waited_s < SILENCE_S or self._wrote or not self._link.drained().done():  # the last: it reads slowly
            self._wrote = False
            self._ask_after(SILENCE_S)
        else:
            self._client_left()

    def _ask_no_more(self) -> None:
        if self._asking is not None:
            self._asking.cancel()

    def _client_left(self) -> None:
        callback, self._close_callback = self._close_callback, None
        if callback is not None:
            callback()

    def lost(self) -> None:
        """The connection is closed."""
        self._ask_no_more()
        delegate, self._delegate = self._delegate, None
        self._waiting_body.clear()
        if delegate is not None and not self.whole:
            self._close_callback = None
            delegate.on_connection_close()
        else:
            self._client_left()

    # --- the answer: tornado.httputil.HTTPConnection ---

    @property
    def context(self) -> Exchange:
        """Itself: it has `remote_ip` and `protocol`, which Tornado's requests read from the context."""
        return self

    @property
    def remote_ip(self) -> str:
        """The peer's address; 0.0.0.0 for a Unix socket."""
        return self._link.remote_ip

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set a function to call if the client leaves after its request and before the end of the answer."""
        self._close_callback = callback

    def write_headers(
        self,
        start_line: RequestStartLine | ResponseStartLine,
        headers: HTTPHeaders,
        chunk: bytes | None = None,
    ) -> asyncio.Future[None]:
        """Begin the answer. Raises ValueError for a header with a line break, StreamClosedError for a 101 that comes too late."""
        assert isinstance(start_line, ResponseStartLine)
        if self.finished or self._link.lost:
            return self._link.drained()
        status = start_line.code
        if status == SWITCHING_PROTOCOLS:
            self._link.check_upgrade()
            self._switch = head_bytes(start_line, headers)
            self._head_written = True
            return self._link.drained()
        self._frame(status, headers)
        head = head_bytes(start_line, headers)
        self._head_written = True
        self._link.write(head + self._framed(chunk) if chunk else head)
        return self._link.drained()

    def _frame(self, status: int, headers: HTTPHeaders) -> None:
        """Choose how the client recognises the end of the answer (RFC 9112, section 6.3)."""
        version, method = (
            ("HTTP/1.1", "") if self._start_line is None else (self._start_line.version, self._start_line.method)
        )
        known = by_name(headers)
        length = known.get("Content-Length")
        if method == "HEAD" or status in BODILESS:
            self._left_bytes = 0
        elif length is not None:
            self._left_bytes = int(length)
        else:
            self._events = known.get("Content-Type") == "text/event-stream"
            self._chunks_out = version == "HTTP/1.1"
            if self._chunks_out:
                headers["Transfer-Encoding"] = "chunked"
            else:
                self.keeps_alive = False  # the answer ends with the connection
        if not self.whole or known.get("Connection", "").lower() == "close":
            self.keeps_alive = False  # the rest of the request is not read
        if not self.keeps_alive:
            headers["Connection"] = "close"
        elif version == "HTTP/1.0":
            headers["Connection"] = "keep-alive"

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Write the next piece of the answer. Raises HTTPOutputError beyond the Content-Length."""
        if not self.finished:
            self._wrote = True
            self._link.write(self._framed(chunk))
        return self._link.drained()

    def _framed(self, chunk: bytes) -> bytes:
        """Apply chunked encoding (RFC 9112, section 7.1). An empty chunk would end the answer."""
        if self._chunks_out:
            return b"%x\r\n%b\r\n" % (len(chunk), chunk) if chunk else b""
        if self._left_bytes is not None:
            self._left_bytes -= len(chunk)
            if self._left_bytes < 0:
                self._link.abort()
                raise HTTPOutputError("Tried to write more data than Content-Length")
        return chunk

    def finish(self) -> None:
        """End the answer. Raises HTTPOutputError if it is shorter than its Content-Length."""
        if self._switch or self.finished:
            return
        if self._left_bytes and not self._link.lost:
            self._link.abort()
            raise HTTPOutputError(f"Tried to write {self._left_bytes} bytes less than Content-Length")
        if self._chunks_out:
            self._link.write(b"0\r\n\r\n")
        self.finished = True
        self._ask_no_more()
        self._delegate = self._close_callback = None  # they refer to us
        self._link.answered(self)

    def close(self) -> None:
        """Close the connection in the middle of the answer, so that it is not taken for complete."""
        self._link.abort()

    # --- after 101: the connection is given away ---

    def detach(self) -> IOStream:
        """The connection as a stream, for Tornado's WebSocket. Raises StreamClosedError if it is lost."""
        head, upgraded = self._give_away()
        try:
            stream = stream_of(upgraded)
        except OSError as failed:
            log.warning("a WebSocket could not be opened", reason=failed.strerror or str(failed))
            raise StreamClosedError from None
        stream.write(head)
        return stream

    def detach_transport(self) -> Upgraded:
        """The connection as the loop's transport, with the 101 written. Raises StreamClosedError if it is lost."""
        head, upgraded = self._give_away()
        upgraded.transport.write(head)
        return upgraded

    def _give_away(self) -> tuple[bytes, Upgraded]:
        """Give the connection away and drop all references: a WebSocket lives for hours and needs none of this."""
        if self._link.lost:  # the client left before the 101
            raise StreamClosedError
        assert self._switch, "no protocol was switched to"
        head, upgraded = self._switch, self._link.upgrade()
        self._delegate = self._close_callback = None
        self._headers = HTTPHeaders()
        del self._link, self._waiting_body
        return head, upgraded


def head_bytes(start_line: ResponseStartLine, headers: HTTPHeaders) -> bytes:
    """The head up to the empty line. Raises ValueError for a header with a line break."""
    lines = [f"HTTP/1.1 {start_line.code} {start_line.reason}", *map(": ".join, headers.get_all())]
    head = "\r\n".join(lines)
    if head.count("\n") != len(lines) - 1 or head.count("\r") != len(lines) - 1:
        raise ValueError("a header with a line end in it")
    return f"{head}\r\n\r\n".encode("latin-1")
