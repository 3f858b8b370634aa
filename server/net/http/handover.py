"""A connection that becomes a WebSocket: as its transport, or as the IOStream that Tornado's WebSocket reads."""

from __future__ import annotations

import os
import socket
from typing import TYPE_CHECKING, NamedTuple

from tornado.iostream import IOStream

if TYPE_CHECKING:
    import asyncio

READ_CHUNK_BYTES = 64 * 1024
READ_BUFFER_BYTES = 1024 * 1024  # larger than the largest WebSocket message


class Upgraded(NamedTuple):
    """A connection after `101 Switching Protocols`.

    Call `transport.set_protocol()` before returning to the loop, and give `early` to the new protocol before anything else.
    """

    transport: asyncio.Transport
    early: bytes  # sent by the client right after its handshake


class SocketStream(IOStream):
    """An IOStream that starts with bytes read earlier."""

    def begin_with(self, early: bytes) -> None:
        """Put `early` before the bytes from the socket."""
        self._read_buffer += early
        self._read_buffer_size += len(early)


def stream_of(upgraded: Upgraded) -> SocketStream:
    """The connection as a stream; its transport is closed. Raises OSError if it is gone or there is no descriptor left.

    The stream gets a duplicate of the descriptor, because the loop keeps the transport's own until the transport is gone, which
    closes it.
    """
    try:
        descriptor = os.dup(upgraded.transport.get_extra_info("socket").fileno())
    finally:
        upgraded.transport.abort()
    connection = socket.socket(fileno=descriptor)
    connection.setblocking(False)
    stream = SocketStream(connection, max_buffer_size=READ_BUFFER_BYTES, read_chunk_size=READ_CHUNK_BYTES)
    stream.begin_with(upgraded.early)
    return stream
