"""Ends a connection without waiting for the client."""

from __future__ import annotations

import socket
import struct
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


def cut(transport: asyncio.Transport) -> None:
    """Close the connection now. If data is unsent, it is reset.

    A client that does not read would otherwise learn nothing, and the kernel would keep what it has of ours for minutes.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and transport.get_write_buffer_size():
        with suppress(OSError):  # a Unix socket has no such option, or it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()
