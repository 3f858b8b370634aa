"""How long a connection may take over a request: one timer for all of them, where Tornado starts two for every request.

All wait equally long, so that who has waited longest stands first in a dict; the timer is set for that one.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Protocol

from server.errors import ApiError
from server.intake import Delegates, Intake

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from tornado import httputil


class Closable(Protocol):
    """A request on its connection: closing that again does nothing."""

    def close(self) -> None:
        """Now."""


class Patience:
    """Closes the connections of requests that have waited for `limit_s` seconds."""

    def __init__(self, limit_s: float) -> None:
        self.limit_s = limit_s
        self._since: dict[Closable, float] = {}  # the loop's time
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._since)

    def begin(self, request: Closable) -> None:
        """It waits from now on."""
        loop = asyncio.get_running_loop()
        self._since[request] = loop.time()
        if self._timer is None:
            self._timer = loop.call_later(self.limit_s, self._look)

    def end(self, request: Closable) -> None:
        """It has got what it waited for, if it waited."""
        self._since.pop(request, None)

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        self._timer = None
        while self._since:
            request, since = next(iter(self._since.items()))
            left_s = since + self.limit_s - loop.time()
            if left_s > 0:
                self._timer = loop.call_later(left_s, self._look)
                return
            del self._since[request]
            request.close()


class PatientIntake(Intake):
    """An intake that begins to wait for headers when it is made, and for a body once they are there."""

    def __init__(
        self, delegates: Delegates, server_connection: object, connection: Any, headers: Patience, body: Patience
    ) -> None:
        super().__init__(delegates, server_connection, connection)
        self._for_headers = headers
        self._for_body = body
        if not self.stream.closed():  # Tornado begins another request behind the last one's answer, whatever that said
            self.stream.reader = self
            headers.begin(self)

    def headers_received(
        self, start_line: httputil.RequestStartLine | httputil.ResponseStartLine, headers: httputil.HTTPHeaders
    ) -> Awaitable[None] | None:
        """As Intake."""
        self._for_headers.end(self)
        if "Content-Length" in headers or "Transfer-Encoding" in headers:
            self._for_body.begin(self)
        return super().headers_received(start_line, headers)

    def finish(self) -> None:
        """As Intake."""
        self._for_body.end(self)
        super().finish()

    def on_connection_close(self) -> None:
        """As Intake; Tornado also calls it when an answer was given before the body was complete."""
        self._for_body.end(self)
        super().on_connection_close()

    def lost(self) -> None:
        """As Reader."""
        self._for_headers.end(self)

    def close(self) -> None:
        """It took too long: says so to whoever has begun, and ends the connection."""
        stream = self.stream
        begun = self._request is not None or stream.holds_bytes  # who only kept it open is told nothing
        if begun and not stream.closed():
            stream.answer_last(self.last_answer(ApiError("REQUEST_TIMEOUT")))
        self._connection.close()
