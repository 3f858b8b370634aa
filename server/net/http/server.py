"""The listening sockets, and the connections that came in by them."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from server.net.http.connection import Connection
from server.net.http.patience import Patience

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable

    from server.net.http.exchange import Delegates

IDLE_S = 75.0  # between requests and while headers come; longer than the 60 s that balancers keep
BODY_S = 60.0  # for a whole body: 32 MiB at 4 Mbit/s
BACKLOG = 1024  # connections the kernel has accepted and we have not: a thousand clients may come back at once


class Connections:
    """Those of HTTP that are open, and what they share; who became a WebSocket is none of them any more."""

    def __init__(self, delegates: Delegates) -> None:
        self.delegates = delegates
        self.for_headers = Patience(IDLE_S)
        self.for_body = Patience(BODY_S)
        self.open: set[Connection] = set()
        self._deserted = asyncio.Event()

    def leave(self, connection: Connection) -> None:
        """It is closed, or a WebSocket's."""
        self.open.discard(connection)
        if not self.open:
            self._deserted.set()

    async def abort(self) -> None:
        """End all of them, whatever they are doing."""
        self._deserted.clear()
        for connection in tuple(self.open):
            connection.abort()
        if self.open:
            await self._deserted.wait()


class GatewayServer:
    """`delegates` take the requests."""

    def __init__(self, delegates: Delegates) -> None:
        self.connections = Connections(delegates)
        self._listening: list[asyncio.Server] = []

    async def listen(self, sockets: Iterable[socket.socket]) -> None:
        """Take connections from bound sockets, which are ours from now on."""
        loop = asyncio.get_running_loop()
        for bound in sockets:
            self._listening.append(await loop.create_server(self._connection, sock=bound, backlog=BACKLOG))

    def _connection(self) -> Connection:
        return Connection(self.connections)

    def stop(self) -> None:
        """Take no more connections."""
        for listening in self._listening:
            listening.close()

    async def close_all_connections(self) -> None:
        """Whatever they are doing."""
        await self.connections.abort()
