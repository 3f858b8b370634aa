"""A WebSocket on the loop's own transport, behind Tornado's `WebSocketProtocol`: no stream object, no coroutine per frame.

`WebSocketHandler.get_websocket_protocol()` returns a `FrameSocket`. Messages of one read are passed to the handler a few in one call: to `on_messages(list)`
if it has that method, else one by one to `on_message`, which is no coroutine. `on_part()` is called for a read that completes no frame, or ends within a message.
A handler that writes a lot calls `send` with whole batches, stops while `paused`, and continues at its `on_writable()`. At the end we send
our close frame, shut down our half, and drop what still comes for a moment: a close at once meets a reset, which can overtake the frame.
"""

from __future__ import annotations

import asyncio
import sys
from contextlib import suppress
from socket import TCP_NODELAY
from time import perf_counter
from typing import TYPE_CHECKING, Any, cast

from tornado.websocket import WebSocketClosedError, WebSocketProtocol

from server.net.cut import cut
from server.net.loop_turns import FIRST_MESSAGES, TURN_S, LoopTurns, Share
from server.net.websocket import frames
from server.net.websocket.events import Closed, PingFrame, Violated
from server.net.websocket.limits import LINGER_BYTES, LINGER_S, LONG_READ_BYTES
from server.net.websocket.slots import SocketSlots
from server.net.websocket.transport import gives_transport, set_tcp, switch_protocols
from streaming.rfc6455 import INTERNAL_ERROR, NO_CODE, NORMAL, POLICY_VIOLATION
from streaming.wakes import Wakes, step_at

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tornado.httputil import HTTPHeaders
    from tornado.websocket import WebSocketHandler

    from server.net.websocket.events import SocketEvent
    from server.net.websocket.limits import SocketLimits
    from server.net.websocket.rounds import ReadRounds, Seat

JOIN_FRAMES = 32  # then the socket is read in rounds
DEAR_CROWD = 2  # so many share the time behind of dear turns: see `SocketLimits.crowded_s`


class FrameSocket(SocketSlots, WebSocketProtocol, asyncio.Protocol):
    """One WebSocket: a `WebSocketProtocol` for its handler and an `asyncio.Protocol` for the loop."""

    handler: WebSocketHandler

    def __init__(
        self,
        handler: WebSocketHandler,
        limits: SocketLimits,
        turns: LoopTurns,
        rounds: ReadRounds | None = None,
        wakes: Wakes | None = None,
    ) -> None:
        """`turns`, `rounds` and `wakes` are shared by all sockets of the loop."""
        super().__init__(handler)
        self._rounds, self._wakes = rounds, wakes or Wakes()
        self._seat: Seat | None = None  # its newest seat there
        self._count_limit = min(JOIN_FRAMES, limits.frames_burst)
        self.paused = False  # the client reads more slowly than we write
        self.close_code = self.close_reason = None
        self._limits, self._loop = limits, asyncio.get_running_loop()
        self.transport: asyncio.Transport
        self.reader = frames.FrameReader(limits.message_bytes, getattr(handler, "takes_long_texts", False))
        self.express: Callable[[bytes | str], bool] | None = None  # takes a lone message; False: deliver it as usual
        self._deliver = cast("Callable[[list[Any]], None]", getattr(handler, "on_messages", self._deliver_singly))
        self._subprotocol: str | None = None
        self._told = self._lost = False  # the handler was told of the end; the transport is gone
        self._frames, self._counted_since = 0, self._loop.time()
        self._pings = self._discarded_bytes = 0  # the first: since we last looked
        self._turns, self._share = turns, Share()
        self._waits = self._heard = self._pinged = False  # the first: for its turn; reading is paused meanwhile
        self._crowded_s = self._turn_at = self._caught_up = 0.0  # the first: behind, less rests: floods rest too
        self.behind_since: float | None = None  # when the messages that wait for their turn were read
        self._unfinished = 0  # number of the message that was unfinished at the last check; 0: none was
        self._pong: bytes | None = None  # to be sent when there is room
        self._drained: asyncio.Future[None] | None = None  # for writers that wait for room
        self._beat = self._deadline = 0  # steps: of the next look; for the client to read, to close, or to be gone

    # --- the handshake ---

    async def accept_connection(self, handler: WebSocketHandler) -> None:
        """Answer 101, take over the connection's transport, and call the handler's `open`."""
        headers = handler.request.headers
        key = headers.get("Sec-WebSocket-Key")
        if not key or not headers.get("Host"):
            handler.set_status(400)
            handler.finish("Missing/Invalid WebSocket headers")
            return
        self._subprotocol = switch_protocols(handler, key)
        connection: object = handler.request.connection
        assert gives_transport(connection), "looked at before this protocol was chosen"
        self.transport, early = connection.detach_transport()
        self.transport.set_protocol(self)
        self.start_pinging()
        await self._open()
        if early and not self._lost:
            self.data_received(early)

    async def _open(self) -> None:
        """Call the handler's `open`. No message is delivered before it is done."""
        handler = self.handler
        try:
            opening = handler.open(*handler.open_args, **handler.open_kwargs)
            if opening is not None:
                self.transport.pause_reading()
                await opening
                if not self.transport.is_closing():
                    self.transport.resume_reading()
        except Exception:  # noqa: BLE001 - whatever it is, it is logged and ends this socket only
            self._failed()

    @property
    def selected_subprotocol(self) -> str | None:
        """The subprotocol chosen by the handler."""
        return self._subprotocol

    # --- in ---

    def data_received(self, data: bytes) -> None:
        """Take bytes of frames."""
        if self.client_terminated or self.reader.ended:
            self._discard(len(data))
            return
        self._heard = True
        later = self._waits or self._share.spent or len(data) > LONG_READ_BYTES
        message = None if later else self.reader.lone(data)
        if message is not None:  # most reads
            self._frames += 1
            if self._frames + self.reader.pieces > self._count_limit:
                self._check_pace()
            self._take_lone(message)
            return
        self._share.run(self._handle, self.reader.feed(data, 0 if later else FIRST_MESSAGES))
        if self.reader.crowded and not self._waits:
            self.behind_since, self._turn_at = self._loop.time(), self._turns.time()
            self._crowded_s = max(0.0, self._crowded_s + self._caught_up - self._turn_at)
            self._wait()

    def _handle(self, events: list[SocketEvent]) -> None:
        self._frames += len(events)
        if len(events) > 1 and self._seat is not None:
            self._seat.together(events)
        if self._frames + self.reader.pieces > self._count_limit:
            self._check_pace()
        if events:
            self._take(events)
        if (not events or self.reader.kept_bytes) and (on_part := getattr(self.handler, "on_part", None)) is not None:
            on_part()

    def _wait(self) -> None:
        """Read on when it is this socket's turn: others go first."""
        self._waits = True
        self._pause_reading()
        self._turns.wait(self._take_turn, self._share)

    def _take_turn(self, most: int) -> None:
        self._waits, before, self._turn_at = False, self._turn_at, self._turns.time()
        self._crowded_s += (self._turn_at - before) / min(self._turns.crowd, DEAR_CROWD if most == 1 else sys.maxsize)
        until, left = perf_counter() + TURN_S, max(1, most - FIRST_MESSAGES + 1)
        while self.reader.crowded and not self.client_terminated:
            self._handle(self.reader.more(1))  # each may be a dear one
            left -= 1
            if self.reader.crowded and (left <= 0 or perf_counter() > until):
                if self._crowded_s > self._limits.crowded_s:
                    self.fail(POLICY_VIOLATION, "too many frames")
                self._wait()
                return
        self.behind_since, self._caught_up = None, self._turns.time()
        self._count_limit = min(self._frames + JOIN_FRAMES, self._limits.frames_burst)
        if not self.transport.is_closing() and (self._seat is None or self._seat.left):
            self.transport.resume_reading()  # else it has joined the rounds meanwhile

    def _take(self, events: list[SocketEvent]) -> None:
        for event in events:
            if type(event) is not bytes and type(event) is not str:
                self._take_singly(events)
                return
        if not self.server_terminated:  # else nobody waits for them any more
            try:
                self._deliver(events)
            except Exception:  # noqa: BLE001 - as above
                self._failed()

    def _take_lone(self, message: bytes | str | bytearray) -> None:
        if self.client_terminated or self.server_terminated:
            return
        try:
            if self.express is None or isinstance(message, bytearray) or not self.express(message):
                self._share.run(self._deliver, [message])
        except Exception:  # noqa: BLE001 - as above
            self._failed()

    def _deliver_singly(self, messages: list[Any]) -> None:
        for message in messages:
            self.handler.on_message(message)

    def _take_singly(self, events: list[SocketEvent]) -> None:
        """Handle events in order: control frames are among them."""
        for event in events:
            if isinstance(event, bytes | str | bytearray):
                self._take_lone(event)
            elif self.client_terminated:
                return
            elif isinstance(event, PingFrame):
                self._answer(event)
            elif isinstance(event, Violated):
                self.fail(event.code, event.reason)
            elif isinstance(event, Closed):
                self._closed(event)
            else:
                self._run_callback(self.handler.on_pong, event.payload)

    def _answer(self, ping: PingFrame) -> None:
        """Answer a ping. While the client does not read, only its last ping is remembered (RFC 6455, section 5.5.3)."""
        self._pings += 1
        if self._pings > self._limits.pings:
            self.fail(POLICY_VIOLATION, "too many pings")
            return
        if self.paused:
            self._pong = ping.payload
        elif not self.server_terminated:
            self.transport.write(frames.pong_frame(ping.payload))
        self._run_callback(self.handler.on_ping, ping.payload)

    def _closed(self, closed: Closed) -> None:
        self.client_terminated = True
        if closed.code != NO_CODE:
            self.close_code, self.close_reason = closed.code, closed.reason
        self.close(self.close_code)  # echo the code (section 5.5.1), unless we closed first
        self._tell_handler()

    def eof_received(self) -> None:
        """The client closed its half: the transport closes once everything is sent, which a client that does not read could prevent."""
        self.client_terminated = True
        self._set_deadline(self._limits.close_timeout_s)

    def _pause_reading(self) -> None:
        if self._seat is not None:
            self._seat.leave()
        self.transport.pause_reading()

    # --- rate limits and silence ---

    def _check_pace(self) -> None:
        """Join the rounds after the first frames; beyond a burst, refuse a client that sends too many."""
        self._count_limit = self._limits.frames_burst
        if self._frames + self.reader.pieces <= self._count_limit:
            if self._rounds is not None and (self._seat is None or self._seat.left):
                self._seat = self._rounds.join(self.transport, self.data_received)
            return
        now = self._loop.time()
        if now - self._counted_since < self._limits.frames_burst / self._limits.frames_per_s:
            self.fail(POLICY_VIOLATION, "too many frames")
        self._frames = self.reader.pieces = 0
        self._counted_since = now

    def start_pinging(self) -> None:
        """Ping a silent client from now on."""
        self._beat = self._wakes.set(step_at(self._loop.time() + self._limits.ping_interval_s), self._look)

    def _look(self) -> None:
        """Once per ping interval, check that the client is there and completes its messages."""
        heard, self._heard = self._heard, False
        before, self._unfinished = self._unfinished, self.reader.begun if self.reader.unfinished else 0
        self._frames = self.reader.pieces = self._pings = 0
        self._counted_since = self._loop.time()
        if before and before == self._unfinished:
            self.fail(POLICY_VIOLATION, "a message was not finished in time")
        elif heard:
            self._pinged = False
        elif self._pinged:
            self.abort()
            return
        elif self._limits.pings_silent and not self.is_closing():
            self._pinged = True
            self.transport.write(frames.ping_frame())
        if not self.client_terminated:
            self.start_pinging()

    # --- out ---

    def send(self, messages: list[bytes | str]) -> None:
        """Write the messages in one call. Raises WebSocketClosedError."""
        if self.is_closing():
            raise WebSocketClosedError
        self.transport.writelines([frames.data_frame(message) for message in messages])
        self._check_buffer()

    def write_message(self, message: str | bytes | dict[str, Any], binary: bool = False) -> asyncio.Future[None]:
        """Write one `bytes` or `str`, like Tornado's. The future is done when there is room for more."""
        assert isinstance(message, bytes | str), "the handler's write_message has made JSON of it"
        if self.is_closing():
            raise WebSocketClosedError
        if binary and isinstance(message, str):
            message = message.encode()
        elif not binary and isinstance(message, bytes):
            message = message.decode()
        self.transport.write(frames.data_frame(message))
        self._check_buffer()
        return self.drained()

    def write_ping(self, data: bytes) -> None:
        """Send a ping; the payload has at most 125 bytes."""
        self.transport.write(frames.ping_frame(data))

    def drained(self) -> asyncio.Future[None]:
        """A future that is done when there is room for more, or fails with WebSocketClosedError if the client is gone."""
        if self.paused:
            self._drained = self._drained or self._loop.create_future()
            return self._drained
        drained = self._loop.create_future()
        drained.set_result(None)
        return drained

    def _check_buffer(self) -> None:
        """The last resort against a full buffer. Writers that stop while `paused` never reach it."""
        if self.transport.get_write_buffer_size() > self._limits.write_buffer_bytes:
            self.abort()

    def pause_writing(self) -> None:
        """The client reads more slowly than we write."""
        self.paused = True
        if not self.is_closing():
            self._set_deadline(self._limits.write_timeout_s)

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.paused = False
        if self.is_closing():
            return
        self._cancel_deadline()
        pong, self._pong = self._pong, None
        if pong is not None:
            self.transport.write(frames.pong_frame(pong))
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)
        if (on_writable := getattr(self.handler, "on_writable", None)) is not None:
            self._run_callback(on_writable)

    # --- closing ---

    def is_closing(self) -> bool:
        """True if either side has started to close."""
        return self._lost or self.client_terminated or self.server_terminated

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Start or answer the closing handshake."""
        if self._lost:
            return
        if not self.server_terminated:
            self.server_terminated = True
            if code is None and reason is not None:
                code = NORMAL
            self.transport.write(frames.close_frame(code, reason or ""))
            self._set_deadline(self._limits.close_timeout_s)
        if self.client_terminated or self.reader.ended:
            self._linger()

    def ignore(self) -> None:
        """The client broke the rules, and is about to be told so: read nothing more from it (section 7.1.7), not even its close frame."""
        self.reader.end()

    def fail(self, code: int, reason: str) -> None:
        """The client broke the rules: ignore it, and say so."""
        if self.client_terminated:
            return
        self.client_terminated = True
        if not self.server_terminated:
            self.close_code, self.close_reason = code, reason
            self._say_last_words(code, reason)
        self.close(code, reason)
        self._tell_handler()

    def _say_last_words(self, code: int, reason: str) -> None:
        """Send the messages of the handler's `last_words(code, reason)`, if any, before the close frame."""
        last_words: Callable[[int, str], Sequence[bytes | str]] | None = getattr(self.handler, "last_words", None)
        if last_words is not None and not self._lost:
            self.transport.writelines([frames.data_frame(words) for words in last_words(code, reason)])

    def _failed(self) -> None:
        """The handler raised."""
        self.handler.log_exception(*sys.exc_info())
        self.fail(INTERNAL_ERROR, "")

    def _linger(self) -> None:
        """Everything is sent: close our half, and wait for the client."""
        with suppress(OSError, RuntimeError):  # it has gone, but the loop has not told us yet
            self.transport.write_eof()
        self._set_deadline(LINGER_S)

    def _discard(self, number: int) -> None:
        self._discarded_bytes += number
        if self._discarded_bytes > LINGER_BYTES:
            self._pause_reading()  # it may still read our close frame; a reset would be faster than that
        elif number > LONG_READ_BYTES and not self._waits:
            self._wait()

    def abort(self) -> None:
        """Cut the connection; unsent data is lost."""
        self.client_terminated = self.server_terminated = True
        cut(self.transport)

    def _abort(self) -> None:  # Tornado's name for it
        self.abort()

    def on_connection_close(self) -> None:
        """Called by the handler, when the client leaves during its handshake or after the handler was told of the end."""
        told, self._told = self._told, True
        if not told and hasattr(self, "transport"):
            self.abort()

    def connection_lost(self, _error: Exception | None) -> None:
        """The transport is gone."""
        self._lost = self.client_terminated = self.server_terminated = True
        if self._seat is not None:
            self._seat.leave()
        self.express = None
        self._cancel_deadline()
        self._wakes.cancel(self._beat, self._look)
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_exception(WebSocketClosedError())
            drained.exception()  # mark it as retrieved: perhaps nobody awaits it
        self._tell_handler()

    def _tell_handler(self) -> None:
        if not self._told:
            self._told = True
            self._run_callback(self.handler.on_ws_connection_close, self.close_code, self.close_reason)

    def _set_deadline(self, seconds: float) -> None:
        self._cancel_deadline()
        self._deadline = self._wakes.set(step_at(self._loop.time() + seconds), self.abort)

    def _cancel_deadline(self) -> None:
        self._wakes.cancel(self._deadline, self.abort)

    def set_nodelay(self, x: bool) -> None:
        """Set TCP_NODELAY, although the loop's transports have already done so."""
        set_tcp(self.transport, TCP_NODELAY, on=x)

    def _process_server_headers(self, key: str | bytes, headers: HTTPHeaders) -> None:  # noqa: ARG002 - for clients only
        raise AssertionError("a server's socket has no server")

    async def _receive_frame_loop(self) -> None:
        """Not used: frames come by `data_received`."""
