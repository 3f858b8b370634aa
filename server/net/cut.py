"""Ends a connection without waiting for the client, or sees that the client has ended it."""

from __future__ import annotations

import select
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING

if sys.platform != "win32":
    from fcntl import ioctl
    from termios import TIOCOUTQ

if TYPE_CHECKING:
    import asyncio

_AT_ONCE = struct.pack("ii", 1, 0)  # SO_LINGER: on, zero seconds


def cut(transport: asyncio.Transport) -> None:
    """Close the connection now. If the client has not received everything, it is reset.

    A client that does not read would otherwise learn nothing, and the kernel would keep up to some megabytes for it, for minutes.
    """
    connection = transport.get_extra_info("socket")
    if connection is not None and unsent_bytes(transport):
        with suppress(OSError):  # a Unix socket has no such option, or it is closed already
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
    transport.abort()


def hung_up(connection: socket.socket | None) -> bool:
    """True if the client has closed its side, although the loop may not have read that yet."""
    if connection is None or sys.platform != "linux":
        return False
    if connection.fileno() < 0:
        return True
    poll = select.poll()
    poll.register(connection.fileno(), select.POLLRDHUP)
    return bool(poll.poll(0))


def unsent_bytes(transport: asyncio.Transport) -> int:
    """Bytes that the client's kernel has not confirmed: those of the transport, and those of our kernel."""
    return transport.get_write_buffer_size() + _unconfirmed_bytes(transport.get_extra_info("socket"))


def _unconfirmed_bytes(connection: socket.socket | None) -> int:
    if sys.platform == "win32" or connection is None or connection.fileno() < 0:
        return 0
    try:
        (count,) = struct.unpack("i", ioctl(connection.fileno(), TIOCOUTQ, bytes(4)))
    except OSError:  # it is closed already
        return 0
    return int(count)
