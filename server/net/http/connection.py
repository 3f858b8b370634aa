"""One client's connection: bytes in, answers out in the order of the requests, and its end.

While a request is served nothing behind it is parsed, but for what came in the same slice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, cast

from tornado.iostream import StreamClosedError

from server.errors import ApiError
from server.net.http.exchange import Exchange, Unread
from server.net.http.handover import Upgraded
from server.net.http.parser import RequestParser

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.httputil import RequestStartLine

    from server.net.http.request import Headers
    from server.net.http.server import Connections

# Parsed at once: what stands behind a request in the same slice waits as objects, the rest as bytes.
SLICE_BYTES = 4 * 1024
READ_AHEAD_BYTES = 64 * 1024  # of requests behind the one that is served; then the client has to wait
WRITE_TIMEOUT_S = 30.0  # a client that takes nothing for so long is not reading
# Closing while a client still sends makes its kernel drop our answer: what comes is read and forgotten for a while
# (RFC 9112, section 9.6).
LINGER_S = 1.0
# An upload that was refused: a proxy that cannot send it all says 502 instead of what we said.
LINGER_BYTES = 32 * 1024 * 1024


class Connection(asyncio.Protocol):
    """The loop calls `connection_made`, `data_received` …; the parser tells us of heads and bodies."""

    remote_ip = ""
    lost = False

    def __init__(self, connections: Connections) -> None:
        self.delegates = connections.delegates
        self._connections = connections
        self._for_headers = connections.for_headers
        self._for_body = connections.for_body
        self._transport: asyncio.Transport
        self._parser = RequestParser(self)
        self._reading: Exchange | None = None  # its headers are complete, its body is not
        self._waiting: deque[Exchange | Unread] = deque()
        self._serving: Exchange | Unread | None = None
        self._unparsed = b""
        self._parsing = self._advancing = self._read_paused = False
        self._ending = self._broken = False
        self._lingered_bytes = 0
        self._drain: asyncio.Future[None] | None = None  # while the client takes less than we write
        self._timer: asyncio.TimerHandle | None = None

    # --- the loop's side ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has come."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass
        peer = transport.get_extra_info("peername")
        self.remote_ip = str(peer[0]) if isinstance(peer, tuple) else "0.0.0.0"  # noqa: S104 - a Unix socket has none
        self._connections.open.add(self)
        self._for_headers.begin(self)

    def data_received(self, data: bytes) -> None:
        """Bytes of requests."""
        if self._ending:
            self._linger(len(data))
        elif self._unparsed or not self._may_parse:
            self._unparsed += data
            if len(self._unparsed) > READ_AHEAD_BYTES and not self._read_paused:
                self._read_paused = True
                self._transport.pause_reading()
        else:
            self._feed(data)

    def pause_writing(self) -> None:
        """The client takes less than we write."""
        loop = asyncio.get_running_loop()
        self._drain = loop.create_future()
        self._set_timer(WRITE_TIMEOUT_S, self.abort)

    def resume_writing(self) -> None:
        """It has taken what there was."""
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_result(None)
        if not self._ending:  # else the timer is the end's
            self._cancel_timer()
            self._go_on()

    def connection_lost(self, _error: Exception | None) -> None:
        """The client is gone, or we are."""
        self.lost = True
        self._forget()
        self._parser.close()
        drain, self._drain = self._drain, None
        if drain is not None and not drain.done():
            drain.set_exception(StreamClosedError())
            drain.exception()  # looked at: who does not wait for it needs no traceback
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.lost()

    def _forget(self) -> None:
        self._cancel_timer()
        self._connections.leave(self)
        self._wait_for_nothing()
        self._waiting.clear()
        self._unparsed = b""

    def _wait_for_nothing(self) -> None:
        self._for_headers.end(self)
        self._for_body.end(self)

    # --- parsing ---

    @property
    def _may_parse(self) -> bool:
        """Nothing behind a request that is being served or an answer that is not taken, and of a body what its handler is ready for."""
        if self._ending or self._broken or self.lost:
            return False
        if self._reading is not None:
            return self._reading.takes_body
        return self._serving is None and self._drain is None and not self._waiting

    def pump(self) -> None:
        """Go on with what has come meanwhile."""
        if self._parsing:
            return
        if self._unparsed and self._may_parse:
            data, self._unparsed = self._unparsed, b""
            self._feed(data)
        if self._read_paused and not self._unparsed and not self.lost:
            self._read_paused = False
            self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        """All of it, as long as it may be parsed; in slices, so that a thousand tiny requests do not all become objects."""
        at, size = 0, len(data)
        while at < size and self._may_parse:
            begin, at = at, min(size, at + SLICE_BYTES)
            at -= len(self._parse(data[begin:at]))
        if at < size and not self._ending:
            self._unparsed = data[at:] + self._unparsed

    def _parse(self, piece: bytes) -> bytes:
        """One slice; returns what of it has to be parsed anew."""
        self._parsing = True
        try:
            return self._parser.feed(piece)
        except ApiError as refusal:
            self._break(refusal)
            return b""
        finally:
            self._parsing = False

    def _break(self, refusal: ApiError) -> None:
        """Nothing behind this can be read any more."""
        if self._broken or self._ending or self.lost:
            return
        self._broken = True
        reading, self._reading = self._reading, None
        self._wait_for_nothing()
        if reading is not None:
            reading.break_off(refusal)
        else:
            self._waiting.append(Unread(self, refusal))
            self._advance()

    def head_received(self, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool) -> None:
        """As parser.Owner."""
        self._for_headers.end(self)
        self._reading = exchange = Exchange(self, start_line, headers, keeps_alive=keeps_alive)
        self._waiting.append(exchange)
        self._advance()

    def body_received(self, chunk: bytes) -> None:
        """As parser.Owner."""
        if self._reading is not None:
            self._reading.body(chunk)

    def request_complete(self) -> None:
        """As parser.Owner."""
        reading, self._reading = self._reading, None
        self._for_body.end(self)
        if reading is not None:
            reading.complete()

    # --- serving, in order ---

    def is_at(self, exchange: Exchange) -> bool:
        """Is it this one's turn?"""
        return self._serving is exchange

    def _advance(self) -> None:
        """Begin with the next one when nobody is being served; answered at once, it makes room for another.

        Not while the client takes less than we write: its answers would be made for our memory.
        """
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._serving is None and self._waiting and self._drain is None and not self._ending:
                self._begin(self._waiting.popleft())
        finally:
            self._advancing = False

    def _begin(self, first: Exchange | Unread) -> None:
        self._serving, reading = first, self._reading
        if first is reading and reading.has_body:
            self._for_body.begin(self)  # not earlier: until its turn we have not read on
        first.begin()

    def answered(self, exchange: Exchange) -> None:
        """The answer is written."""
        if self._serving is exchange:
            self._serving = None
        if not exchange.keeps_alive:
            self.end(lingers=True)
        elif not (self._ending or self.lost):
            self._go_on()

    def _go_on(self) -> None:
        """With what waits; else it is the client's turn."""
        self._advance()
        self.pump()
        if not (self._serving or self._waiting or self._reading or self._ending):
            self._for_headers.begin(self)

    def check_upgrade(self) -> None:
        """Raises StreamClosedError, and ends the connection, when it can't become a WebSocket.

        A client that has not read earlier answers does not wait for one. Bytes behind a handshake are parsed as a request
        only where it had a body, which no WebSocket's client sends.
        """
        if self.lost or self._ending or self._waiting or self._transport.get_write_buffer_size():
            self.abort()
            raise StreamClosedError

    def upgrade(self) -> Upgraded:
        """The connection speaks HTTP no more. Raises StreamClosedError when it is gone."""
        self.check_upgrade()
        early = self._unparsed
        self._serving, self._ending = None, True
        self._forget()
        if self._read_paused:
            self._transport.resume_reading()
        return Upgraded(self._transport, early)

    # --- writing ---

    def write(self, data: bytes) -> None:
        """As soon as the client takes it."""
        if not (self.lost or self._ending):
            self._transport.write(data)

    def drained(self) -> asyncio.Future[None]:
        """Done when there is room for more; StreamClosedError when the client has gone."""
        if self._drain is not None:
            return self._drain
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self.lost:
            done.set_exception(StreamClosedError())
            done.exception()
        else:
            done.set_result(None)
        return done

    # --- the end ---

    def end(self, *, lingers: bool) -> None:
        """All is said; `lingers`: the client may still be sending, if only what it must not."""
        if self._ending or self.lost:
            return
        self._ending = True
        self._wait_for_nothing()
        self._unparsed = b""
        if self._read_paused:
            self._transport.resume_reading()
        if lingers and self._transport.can_write_eof():
            with suppress(OSError):  # it has gone, and nobody has told us yet
                self._transport.write_eof()
            self._set_timer(LINGER_S, self._lingered)
        else:
            self._transport.close()
            self._set_timer(WRITE_TIMEOUT_S, self.abort)

    def _linger(self, number: int) -> None:
        self._lingered_bytes += number
        if self._lingered_bytes > LINGER_BYTES:
            self.abort()

    def _lingered(self) -> None:
        """The client had its time, but for one that is slow to take the answer."""
        if self._transport.get_write_buffer_size():
            self._set_timer(WRITE_TIMEOUT_S, self.abort)
        else:
            self.abort()

    def abort(self) -> None:
        """Now, whatever is still to be said."""
        self._ending = True
        self._transport.abort()

    def overdue(self) -> None:
        """It took too long: who has begun with a request is told so."""
        if self._reading is not None or self._parser.in_head:
            self._break(ApiError("REQUEST_TIMEOUT"))
        else:
            self.end(lingers=False)

    def _set_timer(self, seconds: float, then: Callable[[], None]) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(seconds, then)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
