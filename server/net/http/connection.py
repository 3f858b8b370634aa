"""One client's connection: bytes in, answers out in the order of the requests, and its closing.

While a request is being served, nothing behind it is parsed, except the rest of the same slice.
"""

from __future__ import annotations

import asyncio
from collections import deque
from contextlib import suppress
from time import perf_counter
from typing import TYPE_CHECKING, cast

from tornado.iostream import StreamClosedError

from server.errors import ApiError
from server.net.cut import cut, unsent_bytes
from server.net.http.exchange import Exchange
from server.net.http.handover import Upgraded
from server.net.http.headers import Headers
from server.net.http.parser import RequestParser
from server.net.http.whole_request import MAX_WHOLE_BYTES, whole_request
from server.net.loop_turns import TURN_S, Share

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.httputil import RequestStartLine

    from server.net.http.connections import Connections

# Bytes parsed in one go. Requests behind the first one in a slice wait as objects; everything later waits as bytes.
SLICE_BYTES = 4 * 1024
HEADS_SLICE_BYTES = 1024  # outside of a body: it may hold fifty requests
READ_AHEAD_BYTES = 64 * 1024  # unparsed bytes behind the request being served; above this we stop reading
# A client that takes less than so much in this time is not reading: 2 KB a second, as speech has at its least. Who plays it takes no
# more, and has half a megabyte before it.
WRITE_TIMEOUT_S = 30.0
LEAST_TAKEN_BYTES = 64 * 1024
# If we closed while a client is still sending, its kernel would discard our answer. So we read on for a while, and drop the
# data (RFC 9112, section 9.6).
LINGER_S = 1.0
# For a refused upload: a proxy that cannot send all of it would answer 502 instead of our refusal.
LINGER_BYTES = 32 * 1024 * 1024


class Connection(asyncio.Protocol):
    """The protocol of the loop's transport, owner of the parser, and link of the exchanges."""

    remote_ip = ""
    lost = False
    half_closed = False  # the client has closed its sending side

    def __init__(self, connections: Connections) -> None:
        self.delegate = connections.delegate
        self.refuse = connections.refuse
        self._connections = connections
        self._for_headers = connections.for_headers
        self._for_head = connections.for_head
        self._for_body = connections.for_body
        self._transport: asyncio.Transport
        self._parser = RequestParser(self)
        self._reading: Exchange | None = None  # its head is complete, its body is not
        self._waiting: deque[Exchange] = deque()
        self._serving: Exchange | None = None
        self._unparsed = b""
        self._parsing = self._advancing = self._read_paused = False
        self._waits = False  # for its turn, with requests that came behind another
        self._share = Share()
        self._ending = self._broken = False
        self._lingered_bytes = 0
        self._taking: asyncio.Future[None]  # already done; `drained` returns it while the client keeps up
        self._blocked = False  # the client reads more slowly than we write
        self._unsent_bytes = 0  # when it was last looked whether it reads
        self._waiting_writers: list[asyncio.Future[None]] = []
        self._timer: asyncio.TimerHandle | None = None

    # --- called by the loop ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client connected."""
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are no subclass of it
        peer = transport.get_extra_info("peername")
        self.remote_ip = str(peer[0]) if isinstance(peer, tuple) else "0.0.0.0"  # noqa: S104 - a Unix socket has none
        self._taking = asyncio.get_running_loop().create_future()
        self._taking.set_result(None)
        self._connections.open.add(self)
        self._for_head.begin(self)

    def data_received(self, data: bytes) -> None:
        """Take bytes of requests."""
        if self._ending:
            self._linger(len(data))
        elif self._unparsed or not self._may_parse:
            self._unparsed += data
            if len(self._unparsed) > READ_AHEAD_BYTES and not self._read_paused:
                self._read_paused = True
                self._transport.pause_reading()
        elif self._reading is not None or self._connections.begins():
            self._feed(data)
        else:
            self._unparsed, self._waits = data, True
            self._connections.later(self._take_turn)

    def eof_received(self) -> bool:
        """The client closed its sending side. It still gets the answers to its complete requests, as it may still be reading."""
        self.half_closed = True
        if self._serving is not None and self._serving is not self._reading:
            self._serving.half_closed()
        self._rest()
        return not self._ending

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self._blocked = True
        self._look_again()

    def resume_writing(self) -> None:
        """The client has caught up."""
        self._blocked = False
        self._release_writers()
        if not self._ending:  # otherwise the timer is that of the closing
            self._cancel_timer()
            self._go_on()

    def connection_lost(self, _error: Exception | None) -> None:
        """The connection is closed, by the client or by us."""
        if self not in self._connections.open:
            return  # it became a WebSocket, and was forgotten then
        self.lost = True
        self._forget()
        self._release_writers()
        serving, self._serving = self._serving, None
        if serving is not None:
            serving.lost()

    def _forget(self) -> None:
        """Drop all references: a cycle left here would keep the request's head in memory until a full collection."""
        self._cancel_timer()
        self._connections.leave(self)
        self._wait_for_nothing()
        self._waiting.clear()
        self._reading = None
        self._unparsed = b""
        self._parser.close()

    def _wait_for_nothing(self) -> None:
        self._for_headers.end(self)
        self._for_head.end(self)
        self._for_body.end(self)

    # --- parsing ---

    @property
    def _may_parse(self) -> bool:
        """False behind a request being served or an unsent answer. For a body, True if its delegate is ready for more."""
        if self._ending or self._broken or self.lost or self._waits:
            return False
        if self._reading is not None:
            return self._reading.takes_body
        return self._serving is None and not self._blocked and not self._waiting

    def pump(self) -> None:
        """Parse what is waiting."""
        if self._parsing:
            return
        if self._unparsed and self._may_parse:
            data, self._unparsed = self._unparsed, b""
            self._feed(data)
        if self._read_paused and not self._unparsed and not self.lost:
            self._read_paused = False
            self._transport.resume_reading()

    def _feed(self, data: bytes) -> None:
        """Parse a usual, whole request in one pass; all else in slices, so that a thousand tiny requests do not become objects."""
        if self._reading is None and len(data) <= MAX_WHOLE_BYTES and self._parser.idle:
            whole = whole_request(data)
            if whole is not None:
                self._serve_whole(*whole)
                return
        at, size, began = 0, len(data), perf_counter()
        while at < size and self._may_parse:
            begin, at = at, min(size, at + (SLICE_BYTES if self._reading is not None else HEADS_SLICE_BYTES))
            at -= len(self._parse(data[begin:at]))
            if at < size and perf_counter() - began > TURN_S:
                self._wait()
        if at < size and not self._ending:
            self._unparsed = data[at:] + self._unparsed
        if self._parser.in_head and self._serving is None and self in self._connections.open:
            self._for_head.begin(self)
        if self.half_closed or not self._parser.in_head:
            self._rest()

    def _parse(self, piece: bytes) -> bytes:
        """Parse one slice; returns the part of it that must be parsed again."""
        self._parsing = True
        try:
            return self._parser.feed(piece)
        except ApiError as refusal:
            self._break(refusal)
            return b""
        finally:
            self._parsing = False

    def _break(self, refusal: ApiError) -> None:
        """Nothing after this point can be parsed."""
        if self._broken or self._ending or self.lost:
            return
        self._broken = True
        broken, self._reading = self._reading, None
        self._wait_for_nothing()
        if broken is None:
            broken = Exchange(self, None, Headers(), keeps_alive=False)
            self._waiting.append(broken)
        broken.break_off(refusal)
        self._advance()

    def head_received(self, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool) -> None:
        """A head is complete. The parser calls this and the next two."""
        self._for_headers.end(self)
        self._for_head.end(self)
        self._reading = exchange = Exchange(self, start_line, headers, keeps_alive=keeps_alive)
        self._waiting.append(exchange)
        self._advance()

    def _serve_whole(self, start_line: RequestStartLine, headers: Headers, body: bytes) -> None:
        """Serve a request that the parser need not see. No other one waits, or is being served."""
        self._for_headers.end(self)
        self._for_head.end(self)
        self._serving = exchange = Exchange(self, start_line, headers, keeps_alive=True)
        exchange.begin_whole(body)

    def body_received(self, chunk: bytes) -> None:
        """A piece of a body."""
        if self._reading is not None:
            self._reading.body(chunk)

    def request_complete(self) -> None:
        """A body is complete."""
        reading, self._reading = self._reading, None
        if reading is not None:
            if reading.has_body:
                self._for_body.end(self)
            reading.complete()

    # --- serving, in order ---

    def is_at(self, exchange: Exchange) -> bool:
        """True if this exchange is being served."""
        return self._serving is exchange

    def _advance(self) -> None:
        """Begin the next exchange if none is being served; if it is answered at once, begin another.

        Not while the client reads too slowly: answers would pile up in memory.
        """
        if self._advancing:
            return
        self._advancing = True
        try:
            while self._serving is None and self._waiting and not self._blocked and not self._ending:
                self._begin(self._waiting.popleft())
        finally:
            self._advancing = False

    def _begin(self, first: Exchange) -> None:
        self._serving = first
        if first is self._reading and first.has_body:
            self._for_body.begin(self)  # not earlier: until its turn, nothing more was read
        first.begin()

    def answered(self, exchange: Exchange) -> None:
        """An answer was written."""
        if self._serving is exchange:
            self._serving = None
        if not exchange.keeps_alive:
            self.end(lingers=True)
        elif self._ending or self.lost or self._waits:
            return
        elif (self._waiting or self._unparsed) and not self._advancing and not self._parsing:
            self._wait()
        elif self._waiting or self._unparsed or self._reading or self._read_paused or self.half_closed:
            self._go_on()
        else:
            self._wait_for_client()

    def _wait(self) -> None:
        """Go on when it is this connection's turn: clients who wait for their answers go first."""
        if not self._waits:
            self._waits = True
            self._connections.turns.wait(self._take_turn, self._share)

    def _take_turn(self, _most: int) -> None:
        self._waits = False
        if not (self._ending or self.lost or self._serving) and self in self._connections.open:
            self._go_on()
        else:
            self.pump()

    def _go_on(self) -> None:
        """Serve what waits, or wait for the client."""
        self._advance()
        self.pump()
        self._rest()

    def _rest(self) -> None:
        """If nothing is left to do, wait for the client, or close if it sends no more."""
        cut = self.half_closed and self._reading is not None and self._reading is self._serving
        if cut and not (self._unparsed or self._parsing):
            self.end(lingers=False)  # the end of its body will not come: its handler is told
        if self._serving or self._waiting or self._reading or self._unparsed or self._parsing or self._waits:
            return
        if self._ending or self.lost:
            return
        if self.half_closed:
            self.end(lingers=False)
        else:
            self._wait_for_client()

    def _wait_for_client(self) -> None:
        """Nothing is left to do: give the client time for its next request."""
        self._for_headers.begin(self)
        if self._parser.in_head:
            self._for_head.begin(self)  # it came with the request before

    def check_upgrade(self) -> None:
        """Refuse the upgrade if earlier answers are still unsent, if another request follows, or if the client has left.

        A client that has closed its sending side cannot speak WebSocket, and the loop reports that end only once: to us.
        Bytes after a handshake belong to the WebSocket. They are parsed as a request only after a handshake with a body, which no
        client sends.
        """
        gone = self.lost or self._ending or self.half_closed
        if gone or self._waiting or self._transport.get_write_buffer_size():
            self.abort()
            raise StreamClosedError

    def upgrade(self) -> Upgraded:
        """Stop speaking HTTP and give the transport away. Raises StreamClosedError if the connection is gone."""
        self.check_upgrade()
        early = self._unparsed
        self._serving, self._ending = None, True
        self._forget()
        if self._read_paused:
            self._transport.resume_reading()
        return Upgraded(self._transport, early)

    # --- writing ---

    def write(self, data: bytes) -> None:
        """Send data, unless the connection is closing."""
        if not (self.lost or self._ending):
            self._transport.write(data)

    def drained(self) -> asyncio.Future[None]:
        """A future that is done when there is room for more, or fails with StreamClosedError if the client has gone."""
        if not (self._blocked or self.lost):
            return self._taking
        waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting_writers.append(waiting)
        if self.lost:
            self._release_writers()
        return waiting

    def _release_writers(self) -> None:
        writers, self._waiting_writers = self._waiting_writers, []
        for writer in writers:
            if writer.done():
                continue
            if self.lost:
                writer.set_exception(StreamClosedError())
                writer.exception()  # mark it as retrieved: perhaps nobody awaits it
            else:
                writer.set_result(None)

    # --- closing ---

    def end(self, *, lingers: bool) -> None:
        """Close when everything is written. `lingers`: the client may still be sending, although it should not."""
        if self._ending or self.lost:
            return
        self._ending = True
        self._wait_for_nothing()
        self._unparsed = b""
        if self._read_paused:
            self._transport.resume_reading()
        if lingers and not self.half_closed and self._transport.can_write_eof():
            with suppress(OSError):  # the client has gone, but the loop has not told us yet
                self._transport.write_eof()
            self._set_timer(LINGER_S, self._lingered)
        else:
            self._look_again()
            self._transport.close()

    def _linger(self, number: int) -> None:
        self._lingered_bytes += number
        if self._lingered_bytes > LINGER_BYTES:
            self.abort()

    def _lingered(self) -> None:
        """The linger time is over. Give a client that is slow to read the answer more time."""
        if unsent_bytes(self._transport):
            self._look_again()
        else:
            self.abort()

    def _look_again(self) -> None:
        """Look after a while whether the client reads."""
        self._unsent_bytes = unsent_bytes(self._transport)
        self._set_timer(WRITE_TIMEOUT_S, self._look)

    def _look(self) -> None:
        if 0 < unsent_bytes(self._transport) <= self._unsent_bytes - LEAST_TAKEN_BYTES:
            self._look_again()
        else:
            self.abort()

    def abort(self) -> None:
        """Close now; unsent data is lost."""
        self._ending = True
        cut(self._transport)

    def overdue(self) -> None:
        """A time limit has passed. A client that has begun a request is answered."""
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
