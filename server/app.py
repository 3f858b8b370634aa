"""The application: every route with its rule.

The only importer of `handlers`. A route that does not say who may use it stops the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import unquote_to_bytes

from tornado.web import Application
from tornado.websocket import WebSocketHandler

from handlers import agent, auth, console, executor, memory, ops, realtime, voice
from handlers.base import BaseHandler
from handlers.problem import EarlyProblemHandler, ProblemHandler, last_answer
from server.errors import ApiError
from server.net.http.handover import Handshake
from server.net.http.server import GatewayServer
from server.operations import Access
from server.routes import Route, Router

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.gateway import Gateway
    from server.net.http.exchange import Receiver
    from server.net.http.request import Head, Request

MAX_PATH_CHARS = 4 * 1024
MAX_MESSAGE_BYTES = 256 * 1024  # of a WebSocket: the protocol's own limits lie below
PING_INTERVAL_S = 20.0
NOWHERE = Route("(none)", ProblemHandler, Access.PUBLIC, methods=())

ROUTES: tuple[Route, ...] = (
    *voice.routes,
    *agent.routes,
    *executor.routes,
    *memory.routes,
    *auth.routes,
    *ops.routes,
    *console.routes,
    *realtime.routes,
)


class GatewayApplication(Application):
    """Routes by table; `server.net.http` asks for each request who takes it."""

    def __init__(self, gateway: Gateway, routes: Iterable[Route]) -> None:
        super().__init__(
            log_function=lambda _handler: None,  # handlers write their own line
            websocket_ping_interval=PING_INTERVAL_S,
            websocket_max_message_size=MAX_MESSAGE_BYTES,
        )
        self._gateway = gateway
        self._router = Router(routes)

    def accept(self, request: Request) -> tuple[Receiver, int]:
        """Who serves it, and the most bytes its body may have."""
        if len(request.target) > MAX_PATH_CHARS:
            return self.problem(request, ApiError("URI_TOO_LONG")), NOWHERE.body_limit_bytes
        found = self._router.match(request.path)
        if found is None:
            return self.problem(request, ApiError("NOT_FOUND")), NOWHERE.body_limit_bytes
        route, path = found
        limit_bytes = min(route.body_limit_bytes, self._gateway.settings.max_body_bytes)
        if issubclass(route.handler, BaseHandler):
            return route.handler(self._gateway, route, request, path), limit_bytes
        assert issubclass(route.handler, WebSocketHandler), "there are no others"
        options: dict[str, Any] = {"gateway": self._gateway}
        arguments = [unquote_to_bytes(argument) for argument in path]
        delegate = self.get_handler_delegate(request.for_tornado(), route.handler, options, arguments)
        return Handshake(delegate), limit_bytes

    def problem(self, request: Request, refusal: ApiError, *, early: bool = False) -> Receiver:
        """A delegate that answers with a problem document: `early` on the headers, else once the request is complete."""
        handler = EarlyProblemHandler if early else ProblemHandler
        found = self._router.match(request.path)
        route = found[0] if found is not None else NOWHERE  # metrics and log tell by whose limit a body was too large
        return handler(self._gateway, route, request, refusal)

    def last_answer(self, refusal: ApiError, head: Head) -> bytes:
        """All bytes of an answer to what never became a request."""
        return last_answer(self._gateway, NOWHERE.path, refusal, head)


def make_app(gateway: Gateway, routes: Iterable[Route] = ROUTES) -> GatewayApplication:
    """The application of a gateway. Raises UnguardedRouteError."""
    return GatewayApplication(gateway, routes)


def make_server(app: GatewayApplication) -> GatewayServer:
    """A server that is not listening yet."""
    return GatewayServer(app)
