"""How long a connection may take over a request: one timer for all of them, where Tornado starts two for every request.

All wait equally long, so that who has waited longest stands first in a dict; the timer is set for that one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from server.intake import Delegates, Intake

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tornado import httputil


class Closable(Protocol):
    """A connection: closing it again does nothing."""

    def close(self) -> None:
        """Now."""


class Patience:
    """Closes connections that have waited for `limit_s` seconds."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since: dict[Closable, float] = {}  # the loop's time
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, connection: Closable) -> None:
        """It waits from now on."""
        loop = asyncio.get_running_loop()
        self._since[connection] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.limit_s, self._look)

    def end(self, connection: Closable) -> None:
        """It has got what it waited for, if it waited."""
        self._since.pop(connection, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._since:
            connection, since = next(iter(self._since.items()))
            left_s = since + self.limit_s - loop.time()
            if left_s > 0:
                self._timer = loop.call_later(left_s, self._look)
                return
            del self._since[connection]
            connection.close()


class PatientIntake(Intake):
    """An intake that begins to wait for headers when it is made, and for a body once they are there."""

    def __init__(
        self, delegates: Delegates, server_connection: object, connection: Any, headers: Patience, body: Patience
    ) -> None:
        super().__init__(delegates, server_connection, connection)
        self._for_headers = headers
        self._for_body = body
        headers.begin(connection)

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        """As Intake."""
        self._for_headers.end(self._connection)
        if "Content-Length" in headers or "Transfer-Encoding" in headers:
            self._for_body.begin(self._connection)
        return super().headers_received(start_line, headers)

    def finish(self) -> None:
        """As Intake."""
        self._for_body.end(self._connection)
        super().finish()

    def on_connection_close(self) -> None:
        """As Intake; Tornado also calls it when an answer was given before the body was complete."""
        self._for_body.end(self._connection)
        super().on_connection_close()
