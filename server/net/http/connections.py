"""The open connections of a server, and what they share."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Protocol

from server.net.http.patience import Patience

if TYPE_CHECKING:
    from collections.abc import Callable

    from tornado.httputil import HTTPServerConnectionDelegate

    from server.net.http.interfaces import Refuse
    from server.net.loop_turns import LoopTurns

# Requests that begin in one iteration of the event loop, at all connections: hundreds can come in one, and would keep live audio waiting.
MOST_AT_ONCE = 32
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
        self._begun = 0  # in this iteration of the loop
        self._later: deque[Callable[[int], None]] = deque()
        self._all_left = asyncio.Event()

    def begins(self) -> bool:
        """True if a request may begin now. It is counted, also in a part of its head, and for whatever address: many may share a proxy's."""
        if self._begun >= MOST_AT_ONCE or self._later:
            return False
        if not self._begun:
            asyncio.get_running_loop().call_soon(self._next)
        self._begun += 1
        return True

    def later(self, go_on: Callable[[int], None]) -> None:
        """Call `go_on(1)` in one of the next iterations, first come, first served."""
        self._later.append(go_on)

    def _next(self) -> None:
        """Another iteration of the loop."""
        self._begun = 0
        try:
            while self._later and self._begun < MOST_AT_ONCE:
                self._begun += 1
                self._later.popleft()(1)
        finally:  # a fault in one connection's code must not stop the others
            if self._begun:
                asyncio.get_running_loop().call_soon(self._next)

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
