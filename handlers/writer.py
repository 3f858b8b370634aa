"""The only writer of a socket. It sends what the session has queued in one batch per tick, without a task that waits."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

import structlog
from tornado.iostream import StreamClosedError
from tornado.websocket import WebSocketClosedError

from server.net.websocket.frames import data_frame
from server.net.websocket.socket import FrameSocket

if TYPE_CHECKING:
    import asyncio

    from handlers.handshake import HandshakeHandler
    from server.net.tick import TickEnd

log = structlog.get_logger(__name__)

GONE = (WebSocketClosedError, StreamClosedError)  # on_close of the handler reports it too


# A source gives all that waits, up to 65,536 bytes: no use in asking again after a batch that is certainly shorter. A character
# of a text message has up to four bytes.
SURELY_ALL_CHARS = 16_384


class BatchSource(Protocol):
    """The source of batches: a `streaming.jarvis.entry.Attachment`, or a session of another dialect."""

    def data_to_send(self) -> list[str | bytes]:
        """The batch to send now, all that waits up to 65,536 bytes or a little more; empty if there is nothing."""

    def must_be_saved(self, batch: list[str | bytes]) -> bool:
        """True if the batch must be in the session record before it is sent."""

    async def saved(self, batch: list[str | bytes]) -> list[str | bytes]:
        """Save the batch; returns what may then be sent."""

    def said(self, text: str) -> None:
        """A message that was in no batch was written: the last one."""


class SocketWriter:
    """Writes to the handler's socket as fast as the client reads.

    With a FrameSocket, `resume` must be called when it is writable again. With Tornado's protocol each batch is awaited.
    """

    __deletable__ = ("_handler",)  # by `stop`; mypyc wants to know

    def __init__(self, handler: HandshakeHandler, tasks: asyncio.TaskGroup, tick_end: TickEnd) -> None:
        """`tick_end` is shared by all sockets of the loop."""
        self._handler = handler
        self._tasks = tasks
        self._tick_end = tick_end
        self._source: BatchSource | None = None
        self._scheduled = False
        self._asks = False  # the source may have something; else only `_frames` wait
        self._busy = False  # a batch waits for the session record, or for the client to read
        self._last: tuple[str, int, str] | None = None  # a message, then the close
        self._over = False
        self._socket: FrameSocket | None = None  # while there is one of ours
        self._wrote_at = -1.0  # the loop's time when a frame was written at once
        self._frames: list[str | bytes] = []  # of this tick, which leave in one call

    def begin(self, source: BatchSource) -> None:
        """Start writing what this session sends."""
        self._source = source
        socket = self._handler.ws_connection
        self._socket = socket if isinstance(socket, FrameSocket) else None
        self.wake()

    def wake(self) -> None:
        """Write at the end of this tick."""
        self._asks = True
        if not self._scheduled:
            self._scheduled = True
            self._tick_end.add(self._write)

    @property
    def free(self) -> bool:
        """True if a frame may be written without asking the source: its batches are written, and the client reads."""
        socket = self._socket
        return (
            socket is not None
            and not (socket.paused or self._busy or self._over or self._last)
            and not socket.is_closing()
        )

    def write_frame(self, frame: bytes, now: float) -> None:
        """Write it before all that the source is asked for at the end of this tick; only while `free`.

        `now`: the loop's time, which stands still in a tick of uvloop. The first frame of a tick is written now, and the others
        together at its end: in real time there are none.
        """
        if now != self._wrote_at and not self._frames:
            self._wrote_at = now
            assert self._socket is not None, "it is free"
            self._socket.transport.write(data_frame(frame))
            return
        self._frames.append(frame)
        if not self._scheduled:
            self._scheduled = True
            self._tick_end.add(self._write)

    def write_text(self, text: str) -> None:
        """Write it now, before the frames of this tick; only while `free`."""
        assert self._socket is not None, "it is free"
        self._socket.transport.write(data_frame(text))

    def finish(self, message: str, code: int, reason: str) -> None:
        """Write what waits, then this message if not empty, then close."""
        self._last = (message, code, reason)
        self.wake()

    def stop(self) -> None:
        """The socket is gone. Drop the handler, which refers to the writer, to break the cycle."""
        self._over = True
        self._source = self._socket = None
        with suppress(AttributeError):  # it was stopped before
            del self._handler

    def resume(self) -> None:
        """The client reads again."""
        self._busy = False
        self._asks = True
        self._write()

    def _write(self) -> None:
        self._scheduled = False
        if self._over:
            return
        try:
            if self._frames:
                frames, self._frames = self._frames, []
                self._send(frames)
            while self._asks and not self._waits and self._source is not None:
                self._write_batch(self._source)
            if self._last is not None and not self._waits:
                self._end(*self._last)
        except GONE:
            self._over = True
        except Exception:
            log.exception("a socket could not be written to")
            self._over = True
            self._handler.cut()

    def _write_batch(self, source: BatchSource) -> None:
        batch = source.data_to_send()
        if batch and source.must_be_saved(batch):
            self._busy = True
            self._tasks.create_task(self._save(source, batch), name="socket writer")
            return
        if batch:
            self._send(batch)
        self._asks = sum(map(len, batch)) >= SURELY_ALL_CHARS

    @property
    def _waits(self) -> bool:
        socket = self._handler.ws_connection
        return self._busy or self._over or socket is None or (isinstance(socket, FrameSocket) and socket.paused)

    async def _save(self, source: BatchSource, batch: list[str | bytes]) -> None:
        try:
            saved = await source.saved(batch)
            if saved and not self._over:
                self._send(saved)
        except GONE:
            self._over = True
        if not self._over:
            self._busy = False
            self._write()

    def _send(self, batch: list[str | bytes]) -> None:
        socket = self._handler.ws_connection
        if isinstance(socket, FrameSocket):
            socket.send(batch)
            return
        for item in batch:
            written = self._handler.write_message(item, binary=type(item) is bytes)
            written.add_done_callback(_looked_at)
        self._busy = True
        written.add_done_callback(self._taken)

    def _taken(self, written: asyncio.Future[None]) -> None:
        if not written.cancelled() and written.exception() is None and not self._over:
            self.resume()

    def _end(self, message: str, code: int, reason: str) -> None:
        self._over = True
        if message:
            self._handler.write_message(message).add_done_callback(_looked_at)
            if self._source is not None:
                self._source.said(message)
        self._handler.close(code, reason)


def _looked_at(written: asyncio.Future[None]) -> None:
    """Mark the result as retrieved: a client that left is not an error."""
    if not written.cancelled():
        written.exception()
