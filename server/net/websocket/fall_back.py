"""Tornado's own WebSocket protocol with RFC 6455's checks: the fall-back `WS_READER=tornado`.

Tornado 6.6.1 accepts unmasked frames, echoes close codes that must not be sent, and drops the connection without a code for
all other violations. So the bytes go through our FrameReader here too, and a crowded read takes turns. Stream, writing and pings
remain Tornado's.
"""

from __future__ import annotations

import asyncio
import socket
import time
from contextlib import suppress
from typing import TYPE_CHECKING

from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketProtocol13

from server.net.loop_turns import FIRST_MESSAGES, Share
from server.net.websocket import frames
from server.net.websocket.events import Closed, PingFrame, PongFrame, Violated
from server.net.websocket.frames import FrameReader
from server.net.websocket.limits import (
    FRAMES_BURST,
    FRAMES_PER_S,
    LINGER_BYTES,
    LONG_READ_BYTES,
    PING_INTERVAL_S,
    PINGS,
)
from streaming.rfc6455 import NO_CODE, POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tornado.websocket import WebSocketHandler, WebSocketProtocol

    from server.net.loop_turns import LoopTurns
    from server.net.websocket.events import SocketEvent

READ_BYTES = 64 * 1024


def checked(
    handler: WebSocketHandler, tornados: WebSocketProtocol | None, turns: LoopTurns
) -> WebSocketProtocol | None:
    """Tornado's protocol with our checks. `turns` are shared by all sockets of the loop."""
    if not isinstance(tornados, WebSocketProtocol13):
        return tornados
    protocol = CheckedProtocol(handler, False, tornados.params)
    protocol.turns, protocol.share = turns, Share()
    protocol.reader = FrameReader(tornados.params.max_message_size)
    return protocol


class CheckedProtocol(WebSocketProtocol13):
    """Tornado's protocol, reading through our FrameReader and its checks. Made by `checked`."""

    turns: LoopTurns
    share: Share
    reader: FrameReader
    _pings = 0  # since the interval began
    _pings_since = 0.0  # on the loop's clock
    _frames = 0  # and pieces of frames, since the count began
    _frames_since = 0.0
    _unfinished = 0  # number of the newest message that did not come in one piece
    _unfinished_since = 0.0
    _ignored = False  # nothing more is taken from the client
    _discarded_bytes = 0

    async def _receive_frame_loop(self) -> None:
        """Read until either side ends the connection."""
        reader = self.reader
        self._frames_since = asyncio.get_running_loop().time()
        try:
            while not self.client_terminated:
                if self._ignored:
                    await self._discard()
                    continue
                data = await self._read()
                later = self.share.spent or len(data) > LONG_READ_BYTES
                await self._take_all(reader.feed(data, 0 if later else FIRST_MESSAGES), reader)
                await self._check_progress(reader)
                while reader.crowded and not self.client_terminated:
                    await self._take_all(reader.more(await self._turn()), reader)
        except StreamClosedError:
            self._abort()
        finally:
            self.handler.on_ws_connection_close(self.close_code, self.close_reason)

    async def _turn(self) -> int:
        """Wait for this socket's turn; returns how many messages it may take."""
        mine: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.turns.wait(lambda most: None if mine.done() else mine.set_result(min(most, FIRST_MESSAGES)), self.share)
        return await mine

    async def _take_all(self, events: list[SocketEvent], reader: FrameReader) -> None:
        self._frames += len(events)
        if self._frames + reader.pieces > FRAMES_BURST:
            now = asyncio.get_running_loop().time()
            if now - self._frames_since < FRAMES_BURST / FRAMES_PER_S:
                await self._refuse(Violated(POLICY_VIOLATION, "too many frames"))
            self._frames = reader.pieces = 0
            self._frames_since = now
        for event in events:
            await self._take(event)
        if (not events or reader.kept_bytes) and (on_part := getattr(self.handler, "on_part", None)) is not None:
            on_part()

    async def _check_progress(self, reader: FrameReader) -> None:
        """Refuse a client that does not complete its message: what it sends of it is a sign of life."""
        now = asyncio.get_running_loop().time()
        if not reader.unfinished or reader.begun != self._unfinished:
            self._unfinished, self._unfinished_since = reader.begun, now
        elif now - self._unfinished_since > 2 * PING_INTERVAL_S and not self.client_terminated:
            await self._refuse(Violated(POLICY_VIOLATION, "a message was not finished in time"))

    def ignore(self) -> None:
        """The client broke the rules, and is about to be told so. What it still sends is only read so that no reset overtakes that."""
        self._ignored = True
        self.reader.end()

    def close(self, code: int | None = None, reason: str | None = None) -> None:
        """Close; our half too if the client is ignored, as its own close frame is not read."""
        super().close(code, reason)
        if self._ignored and not self.stream.closed():
            self.stream.write(b"").add_done_callback(lambda _written: self._shut_down())

    def _shut_down(self) -> None:
        with suppress(OSError, AttributeError):  # it has gone meanwhile
            self.stream.socket.shutdown(socket.SHUT_WR)

    async def _read(self) -> bytes:
        await asyncio.sleep(0)  # data that is there is read without waiting, so let others run
        data = await self.stream.read_bytes(READ_BYTES, partial=True)
        self._wire_bytes_in += len(data)
        return data

    async def _take(self, event: SocketEvent) -> None:
        if self.client_terminated or self._ignored:
            return
        if isinstance(event, bytes | str | bytearray):
            began = time.thread_time()
            handled = self._run_callback(self.handler.on_message, event)
            self.share.take(time.thread_time() - began)
            if handled is not None:
                await handled
        elif isinstance(event, PingFrame):
            if self._is_flooded():
                await self._refuse(Violated(POLICY_VIOLATION, "too many pings"))
            else:
                self._handle_message(frames.PING, event.payload)
        elif isinstance(event, PongFrame):
            self._handle_message(frames.PONG, event.payload)
        elif isinstance(event, Closed):
            if closed_with := event.code if event.code != NO_CODE else None:
                self.close_code, self.close_reason = event.code, event.reason
            await self._end(closed_with, "")
        else:
            await self._refuse(event)

    def _is_flooded(self) -> bool:
        """Count a ping. Each is answered by a pong, which a client that does not read would leave in memory."""
        now = asyncio.get_running_loop().time()
        if now - self._pings_since > PING_INTERVAL_S:
            self._pings, self._pings_since = 0, now
        self._pings += 1
        return self._pings > PINGS

    async def _refuse(self, violated: Violated) -> None:
        """Send the reason, and close."""
        if not self.server_terminated:
            self.close_code, self.close_reason = violated.code, violated.reason
            last_words: Callable[[int, str], Sequence[bytes | str]] | None = getattr(self.handler, "last_words", None)
            if last_words is not None:
                for words in last_words(violated.code, violated.reason):
                    await self.write_message(words, binary=isinstance(words, bytes))
        await self._end(violated.code, violated.reason)

    async def _end(self, code: int | None, reason: str) -> None:
        """Close, then read what still comes: dropping the connection at once could lose the close frame in a reset."""
        self.close(code, reason or None)  # Tornado drops the connection some seconds later in any case
        await self.stream.write(b"")  # done when everything before it is written
        self._shut_down()
        while True:
            await self._discard()

    async def _discard(self) -> None:
        """Read what nobody takes. After so much of it, wait until the connection is cut: it costs what a flood costs."""
        if self._discarded_bytes > LINGER_BYTES and not self.stream.closed():
            gone = asyncio.Event()
            self.stream.set_close_callback(gone.set)
            await gone.wait()
        self._discarded_bytes += len(await self._read())
