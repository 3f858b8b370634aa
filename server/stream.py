"""A connection's bytes: Nagle's algorithm off once, and an answer where Tornado has none that a client could read.

What its parser refuses, Tornado 6.6.1 answers with fixed bytes (http1connection.py, `_read_message_inner`), and headers
that are too long it answers with the end of the connection (iostream.py, where UnsatisfiableReadError is caught).
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any, Protocol

from tornado.iostream import IOStream, UnsatisfiableReadError

TORNADOS_400 = b"HTTP/1.1 400 Bad Request\r\n\r\n"
# Closing while a client still sends makes its kernel drop our answer: what comes is read and forgotten for a while
# (RFC 9112, section 9.6).
LINGER_S = 1.0
LINGER_BYTES = 1024 * 1024
_READ_BYTES = 64 * 1024


class Reader(Protocol):
    """Whoever takes the request that is being read."""

    def unreadable(self, reason: str) -> bytes:
        """The answer to a request that breaks HTTP; nothing when one was given already."""

    def overlong(self) -> bytes:
        """The answer when the end of the headers, or of a chunk's first line, is too far away."""

    def lost(self) -> None:
        """The connection is closed: nothing of its request comes any more."""


class GatewayStream(IOStream):
    """Tornado's, for one connection of ours. `reader` is there while a request is read, and never on a WebSocket."""

    reader: Reader | None = None
    _lingers = False

    @classmethod
    def instead_of(cls, stream: IOStream) -> GatewayStream:
        """Tornado's server makes its streams itself, and asks nobody for a class: a new one leaves its socket to ours."""
        ours = cls(stream.socket, max_buffer_size=stream.max_buffer_size, read_chunk_size=stream.read_chunk_size)
        IOStream.set_nodelay(ours, True)
        return ours

    def set_nodelay(self, value: bool) -> None:
        """Nothing: Tornado would switch it off and on again with every request, two system calls."""

    def write(self, data: bytes | memoryview) -> asyncio.Future[None]:
        """As IOStream; what Tornado says to a request that it can't read is said in our form."""
        if self.reader is not None and data == TORNADOS_400:
            self._lingers = True
            data = self.reader.unreadable(str(sys.exception()))  # Tornado writes while it handles it
        return super().write(data)

    def close(self, exc_info: Any = False) -> None:
        """As IOStream, but not without an answer."""
        if isinstance(exc_info, UnsatisfiableReadError) and self.reader is not None and not self.closed():
            self.answer_last(self.reader.overlong())
        super().close(exc_info)
        reader, self.reader = self.reader, None
        if reader is not None:
            reader.lost()

    def answer_last(self, answer: bytes) -> None:
        """Write, before the caller closes."""
        self._lingers = True
        super().write(answer)

    @property
    def holds_bytes(self) -> bool:
        """Has something come that nobody could take yet?"""
        return bool(self._read_buffer_size)

    def close_fd(self) -> None:
        """As IOStream; after a last answer, when the client has had time to read it."""
        if self._lingers and self.socket is not None:
            _Lingering(self.socket)
            self.socket = None  # type: ignore[assignment] # as IOStream does
        else:
            super().close_fd()


class _Lingering:
    """A connection on which everything is said: what still comes is thrown away."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._left_bytes = LINGER_BYTES
        self._loop = asyncio.get_running_loop()
        self._timer = self._loop.call_later(LINGER_S, self._end)
        self._loop.add_reader(connection, self._read)
        try:
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            self._end()

    def _read(self) -> None:
        try:
            data = self._connection.recv(_READ_BYTES)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        self._left_bytes -= len(data)
        if not data or self._left_bytes < 0:
            self._end()

    def _end(self) -> None:
        self._timer.cancel()
        self._loop.remove_reader(self._connection)
        self._connection.close()
