"""A connection that becomes a WebSocket's: from the loop's transport to a stream as Tornado's WebSocket wants it."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from tornado.iostream import IOStream

if TYPE_CHECKING:
    import asyncio

    from tornado.httputil import HTTPMessageDelegate

READ_CHUNK_BYTES = 64 * 1024
READ_BUFFER_BYTES = 1024 * 1024  # above the largest WebSocket message


class Upgraded(NamedTuple):
    """A connection after `101 Switching Protocols`.

    Call `transport.set_protocol()` before the loop turns, and give the new protocol `early` before anything else.
    """

    transport: asyncio.Transport
    early: bytes  # sent by the client right behind its handshake


class Handshake:
    """A request that Tornado's WebSocketHandler takes: it has no body, and hears of its end by the close callback."""

    def __init__(self, delegate: HTTPMessageDelegate) -> None:
        self._delegate = delegate

    def headers_received(self) -> None:
        """Nothing."""

    def data_received(self, chunk: bytes) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Answer it."""
        self._delegate.finish()

    def on_connection_close(self) -> None:
        """Nothing."""

    def overrule(self) -> None:
        """Nothing: what comes behind a handshake is no body."""


class SocketStream(IOStream):
    """Tornado's, which begins with what has been read already."""

    def begin_with(self, early: bytes) -> None:
        """What the client sent behind its handshake."""
        self._read_buffer += early
        self._read_buffer_size += len(early)


def stream_of(upgraded: Upgraded) -> SocketStream:
    """The transport's socket as a stream. Raises OSError when the transport has been closed, or no descriptor is left.

    A duplicate of its descriptor: the loop keeps each to itself until the transport is gone, which closes the first.
    """
    transport = upgraded.transport
    try:
        descriptor = os.dup(transport.get_extra_info("socket").fileno())
    finally:
        transport.abort()
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(False)
    stream = SocketStream(connection, max_buffer_size=READ_BUFFER_BYTES, read_chunk_size=READ_CHUNK_BYTES)
    stream.begin_with(upgraded.early)
    return stream
