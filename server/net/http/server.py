"""The listening sockets: our reader, or Tornado's own HTTPServer with the same limits."""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING, Protocol

from tornado.httpserver import HTTPServer

from server.net.http.connection import Connection
from server.net.http.connections import BODY_S, IDLE_S, Connections
from server.net.http.incoming import SPILL_BYTES
from server.net.http.parser import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tornado.httputil import HTTPServerConnectionDelegate

    from server.net.http.interfaces import Refuse
    from server.net.turns import Turns

BACKLOG = 1024  # connections accepted by the kernel but not yet by us: a thousand clients may reconnect at once
# The kernel keeps this much of what a client does not read (Linux doubles it). Without a bound it is 4 MiB a connection. 256 KiB
# are five seconds of 24 kHz speech, and allow a download 2.5 MB/s over a round trip of 200 ms.
SEND_BUFFER_BYTES = 256 * 1024
TORNADO_BUFFER_BYTES = 1024 * 1024  # read-ahead per connection; larger than the largest WebSocket message


class Server(Protocol):
    """The interface of both readers."""

    def stop(self) -> None:
        """Accept no more connections."""

    async def close_all_connections(self) -> None:
        """Close all HTTP connections, whatever they are doing."""


class FastServer:
    """llhttp on the event loop's transports. `delegate` gets the requests; `refuse` answers unreadable input."""

    def __init__(self, delegate: HTTPServerConnectionDelegate, refuse: Refuse, turns: Turns) -> None:
        self.connections = Connections(delegate, refuse, turns)
        self._listening: list[asyncio.Server] = []

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Accept connections on bound sockets, which belong to the server from now on."""
        loop = asyncio.get_running_loop()
        for bound in sockets:
            self._listening.append(await loop.create_server(self._connection, sock=bound, backlog=BACKLOG))

    def _connection(self) -> Connection:
        return Connection(self.connections)

    def stop(self) -> None:
        """Accept no more connections."""
        for listening in self._listening:
            listening.close()

    async def close_all_connections(self) -> None:
        """Close all HTTP connections, whatever they are doing."""
        await self.connections.abort()


def bound_send_buffers(sockets: Iterable[socket.socket]) -> None:
    """Set SEND_BUFFER_BYTES on listening sockets: the connections accepted from them inherit it."""
    for listening in sockets:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER_BYTES)


def tornado_server(delegate: HTTPServerConnectionDelegate, sockets: list[socket.socket], body_bytes: int) -> Server:
    """A listening Tornado HTTPServer. `body_bytes`: the largest body of any route."""
    server = HTTPServer(
        delegate,
        max_header_size=MAX_HEAD_BYTES,
        max_body_size=body_bytes + 2 * SPILL_BYTES,  # the delegate refuses larger ones, in our error form
        max_buffer_size=TORNADO_BUFFER_BYTES,
        idle_connection_timeout=IDLE_S,
        body_timeout=BODY_S,
    )
    server.add_sockets(sockets)
    return server
