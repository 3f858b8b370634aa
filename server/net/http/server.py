"""The listening sockets: our reader, or Tornado's own HTTPServer with the same limits."""

from __future__ import annotations

import asyncio
import errno
import socket
from typing import TYPE_CHECKING, Any, Protocol

from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets

from server.net.http.connection import Connection
from server.net.http.connections import BODY_S, IDLE_S, Connections
from server.net.http.incoming import SPILL_BYTES
from server.net.http.parser import MAX_HEAD_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

    from tornado.httputil import HTTPServerConnectionDelegate

    from server.net.http.interfaces import Refuse
    from server.net.loop_turns import LoopTurns

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

    def __init__(self, delegate: HTTPServerConnectionDelegate, refuse: Refuse, turns: LoopTurns) -> None:
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


def listening_sockets(host: str, port: int, *, reuse_port: bool) -> list[socket.socket]:
    """Bind and listen. Raises OSError, which names the address."""
    try:
        return bind_sockets(port, host, reuse_port=reuse_port)
    except OSError as refused:
        raise _naming(refused, host, port) from None


def check_free(host: str, port: int, *, reuse_port: bool) -> None:
    """Fail now if the port is taken or forbidden. Binds without listening, so that no client is let in. Raises OSError."""
    try:
        found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except socket.gaierror as unknown:
        raise _naming(unknown, host, port) from None
    except UnicodeError:  # from the idna codec: an empty or overlong label
        raise OSError(errno.EINVAL, f"{host}:{port}: not a host name") from None
    for family, kind, protocol, _, address in found:
        try:
            _try_bind(socket.socket(family, kind, protocol), address, reuse_port=reuse_port)
        except OSError as refused:
            if refused.errno in {errno.EADDRINUSE, errno.EACCES}:
                raise _naming(refused, host, port) from None


def _try_bind(tried: socket.socket, address: Any, *, reuse_port: bool) -> None:
    with tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if tried.family == socket.AF_INET6:
            tried.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)  # as Tornado binds
        tried.bind(address)


def _naming(refused: OSError, host: str, port: int) -> OSError:
    return OSError(refused.errno, f"{host}:{port}: {refused.strerror}")


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
