"""What the reader, the application and its handlers require of each other besides Tornado's own interfaces."""

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
    """The part of `tornado.httputil.HTTPConnection` that handlers write to. Tornado's own HTTP1Connection has it too."""

    def write_headers(
        self, start_line: ResponseStartLine, headers: HTTPHeaders, chunk: bytes | None = None
    ) -> asyncio.Future[None]:
        """Begin the answer. Raises ValueError for a header with a line break."""

    def write(self, chunk: bytes) -> asyncio.Future[None]:
        """Write the next piece. The future is done when there is room for more, or fails with StreamClosedError."""

    def finish(self) -> None:
        """End the answer."""

    def set_close_callback(self, callback: Callable[[], None] | None) -> None:
        """Set a function to call if the client leaves before the answer is complete."""

    def close(self) -> None:
        """Close the connection now, in the middle of the answer."""


@runtime_checkable
class Refusable(Protocol):
    """A message delegate that distinguishes a refused request. Other delegates get `on_connection_close`."""

    def on_request_refused(self) -> None:
        """The rest of the request is refused, and is answered by somebody else."""


def tell_refused(delegate: HTTPMessageDelegate) -> None:
    """Tell the delegate that its request ends here, and that its answer is not wanted."""
    if isinstance(delegate, Refusable):
        delegate.on_request_refused()
    else:
        delegate.on_connection_close()


@dataclass(slots=True)
class UnreadableHead:
    """What is known of an unreadable request, possibly nothing. `seconds`: time since its headers came."""

    method: str = ""
    path: str = ""
    headers: HTTPHeaders = field(default_factory=HTTPHeaders)
    seconds: float = 0.0


class Refuse(Protocol):
    """Answers input that is not a readable request."""

    def __call__(self, request_conn: HTTPConnection, refusal: ApiError, head: UnreadableHead) -> None:
        """Write the whole answer."""


class Routes(Protocol):
    """What an incoming request asks of the application."""

    def find_handler(self, request: Request) -> HTTPMessageDelegate:
        """The handler of the request, as Tornado's `Application.find_handler`."""

    def body_limit_bytes(self, delegate: HTTPMessageDelegate) -> int:
        """The largest body that the delegate accepts."""

    def refuse_request(self, request: Request, refusal: ApiError, *, last: bool) -> None:
        """Write the whole answer. `last`: the rest of the request is not read, so the connection closes afterwards."""

    def refuse_unreadable(self, request_conn: HTTPConnection, refusal: ApiError, head: UnreadableHead) -> None:
        """Answer input that is not a readable request."""
