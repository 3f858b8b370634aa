"""The Tornado application, with a table of routes that each state who may use them.

Only this module imports `handlers`. A route without an access rule stops the start.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import unquote_to_bytes

from tornado.web import Application, RequestHandler

from handlers import (
    agent,
    auth,
    console,
    executor,
    memory,
    openai,
    openai_audio,
    openai_duplex,
    ops,
    realtime,
    twilio,
    voice,
)
from handlers.base import BaseHandler
from handlers.unserved import UnservedHandler, refuse_unreadable
from server.errors import ApiError
from server.net.http.incoming import IncomingRequest
from server.net.http.server import FastServer, bound_send_buffers, tornado_server
from server.net.served_names import ServedNames
from server.operations import Access
from server.routes import Route, Router

if TYPE_CHECKING:
    import socket
    from collections.abc import Iterable
    from typing import Any

    from tornado.httputil import HTTPConnection, HTTPMessageDelegate, HTTPServerRequest

    from server.gateway import Gateway
    from server.net.http.interfaces import UnreadableHead
    from server.net.http.server import Server

MAX_PATH_CHARS = 4 * 1024
MAX_MESSAGE_BYTES = 256 * 1024  # of a WebSocket; the protocol's own limits are lower
PING_INTERVAL_S = 20.0
NOWHERE = Route("(none)", UnservedHandler, Access.PUBLIC, methods=())

ROUTES: tuple[Route, ...] = (
    *voice.routes,
    *agent.routes,
    *executor.routes,
    *memory.routes,
    *auth.routes,
    *ops.routes,
    *console.routes,
    *realtime.routes,
    *openai.routes,
    *openai_audio.routes,
    *openai_duplex.routes,
    *twilio.routes,
)


class GatewayApplication(Application):
    """Routes by our table, then by Tornado's rules: `add_handlers` accepts any RequestHandler."""

    def __init__(self, gateway: Gateway, routes: Iterable[Route]) -> None:
        super().__init__(
            log_function=lambda _handler: None,  # handlers log themselves
            websocket_ping_interval=PING_INTERVAL_S,
            websocket_max_message_size=MAX_MESSAGE_BYTES,
        )
        self.gateway = gateway
        self._router = Router(routes)
        settings = gateway.settings
        self._names = ServedNames(settings.allowed_hosts, debug=settings.debug, host=settings.host)

    def start_request(self, server_conn: object, request_conn: HTTPConnection) -> HTTPMessageDelegate:
        """Called by the HTTP reader for each request."""
        return IncomingRequest(self, server_conn, request_conn)

    def find_handler(self, request: HTTPServerRequest, **_kwargs: Any) -> Any:
        """The message delegate that serves the request."""
        if len(request.uri or "") > MAX_PATH_CHARS:
            return UnservedHandler(self.gateway, NOWHERE, request, ApiError("URI_TOO_LONG"))
        if not self._names.serves(request.host, request.path):
            return UnservedHandler(
                self.gateway, NOWHERE, request, ApiError("BAD_REQUEST", "this gateway has another name")
            )
        found = self._router.match(request.path)
        if found is None:
            by_rule = self.default_router.find_handler(request)
            return by_rule or UnservedHandler(self.gateway, NOWHERE, request, ApiError("NOT_FOUND"))
        route, path = found
        if issubclass(route.handler, BaseHandler):
            return route.handler(self.gateway, route, request, path)
        assert issubclass(route.handler, RequestHandler), "there are no others"
        arguments = [unquote_to_bytes(argument) for argument in path]
        return self.get_handler_delegate(request, route.handler, {"gateway": self.gateway}, arguments)

    def body_limit_bytes(self, delegate: HTTPMessageDelegate) -> int:
        """The limit of the delegate's body: that of its route, at most the global one."""
        limit_bytes = self.gateway.settings.max_body_bytes
        return min(delegate.route.body_limit_bytes, limit_bytes) if isinstance(delegate, BaseHandler) else limit_bytes

    def refuse_request(self, request: HTTPServerRequest, refusal: ApiError, *, last: bool) -> None:
        """Answer with a problem document; `last`: close the connection afterwards."""
        found = self._router.match(request.path)
        route = found[0] if found is not None else NOWHERE  # metrics and log show whose limit was exceeded
        UnservedHandler(self.gateway, route, request, refusal).answer(last=last)

    def refuse_unreadable(self, request_conn: HTTPConnection, refusal: ApiError, head: UnreadableHead) -> None:
        """Answer bytes that are not a readable request, and close the connection."""
        refuse_unreadable(self.gateway, NOWHERE.path, request_conn, refusal, head)


def make_app(gateway: Gateway, routes: Iterable[Route] = ROUTES) -> GatewayApplication:
    """The gateway's application. Raises UnguardedRouteError."""
    return GatewayApplication(gateway, routes)


async def start_server(app: GatewayApplication, sockets: list[socket.socket]) -> Server:
    """Serve the application on bound sockets, with the reader chosen by HTTP_READER."""
    bound_send_buffers(sockets)
    if app.gateway.settings.http_reader == "tornado":
        return tornado_server(app, sockets, app.gateway.settings.max_body_bytes)
    server = FastServer(app, app.refuse_unreadable, app.gateway.loop_turns)
    await server.listen(sockets)
    return server
