"""The open connections of a server, and what they share."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Protocol

from server.net.http.patience import Patience

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerConnectionDelegate

    from server.net.http.interfaces import Refuse
    from server.net.loop_turns import LoopTurns

IDLE_S = 75.0  # between requests; longer than the 60 s for which load balancers keep connections
HEAD_S = 20.0  # for the first head of a connection, and for any head that has begun: Apache's default
BODY_S = 60.0  # for a whole body: 32 MiB at 4 Mbit/s


class Open(Protocol):
    """An open connection."""

    def abort(self) -> None:
        """Close it now."""


class Connections:
    """The open HTTP connections; those that became a WebSocket are not among them."""

    def __init__(self, delegate: HTTPServerConnectionDelegate, refuse: Refuse, turns: LoopTurns) -> None:
        self.delegate = delegate
        self.refuse = refuse
        self.turns = turns
        self.for_headers = Patience(IDLE_S)
        self.for_head = Patience(HEAD_S)
        self.for_body = Patience(BODY_S)
        self.open: set[Open] = set()
        self._all_left = asyncio.Event()

    def leave(self, connection: Open) -> None:
        """The connection was closed, or became a WebSocket."""
        self.open.discard(connection)
        if not self.open:
            self._all_left.set()

    async def abort(self) -> None:
        """Close all of them, whatever they are doing."""
        self._all_left.clear()
        for connection in tuple(self.open):
            connection.abort()
        if self.open:
            await self._all_left.wait()
