"""What the reader, the application and its handlers ask of each other beside Tornado's own interfaces."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from tornado.httputil import HTTPHeaders

if TYPE_CHECKING:
    import asyncio
    from collections.abc import Callable

    from tornado.httputil import HTTPConnection, HTTPMessageDelegate, ResponseStartLine

    from server.errors import ApiError
    from server.net.http.request import Request


class AnswerConnection(Protocol):
    """The part of `tornado.httputil.HTTPConnection` that handlers write to; Tornado's own HTTP1Connection has it too."""

    def write_headers(
        self, start_line: ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Begin the answer. Raises ValueError for a header with a line end in it."""

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """The next piece; the future is done when there is room for more, or fails with StreamClosedError."""

    def finish(self) -> None:
        """The answer is complete."""

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Call this when the client leaves before the answer is complete."""

    def close(self) -> None:
        """End the connection now, in the middle of the answer."""


@runtime_checkable
class Refusable(Protocol):
    """A message delegate that wants to know why nothing more comes. Others are told `on_connection_close`."""

    def on_request_refused(self) -> None:
        """The rest of the request is refused; the answer is given elsewhere."""


def tell_refused(delegate: HTTPMessageDelegate) -> None:
    """Nothing more of its request comes, and its answer is not wanted."""
    if isinstance(delegate, Refusable):
        delegate.on_request_refused()
    else:
        delegate.on_connection_close()


@dataclass(slots=True)
class Head:
    """What is known of a request that could not be read, possibly nothing. `seconds` since its headers came."""

    method: str = ""
    path: str = ""
    headers: HTTPHeaders = field(default_factory=HTTPHeaders)
    seconds: float = 0.0


class Refuse(Protocol):
    """Answers what could not be read as a request."""

    def __call__(self, request_conn: HTTPConnection, refusal: ApiError, head: Head) -> None:
        """Write the whole answer."""


class Routes(Protocol):
    """What a request on its way to a handler asks of the application."""

    def find_handler(self, request: Request) -> HTTPMessageDelegate:
        """Who serves it; Tornado's `Application.find_handler`."""

    def body_limit_bytes(self, delegate: HTTPMessageDelegate) -> int:
        """The most that the delegate's body may have."""

    def refuse_request(self, request: Request, refusal: ApiError, *, last: bool) -> None:
        """Write the whole answer; `last`: the rest of the request is not read, so the connection ends with it."""

    def refuse_unreadable(self, request_conn: HTTPConnection, refusal: ApiError, head: Head) -> None:
        """As `Refuse`."""
