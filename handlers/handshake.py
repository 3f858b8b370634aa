"""A WebSocket's handshake, which is an HTTP request: it gets an id, and a refusal is answered in the error form and logged."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import structlog
from tornado.httputil import HTTPHeaders
from tornado.iostream import StreamClosedError
from tornado.web import HTTPError
from tornado.websocket import WebSocketHandler

from handlers.answer import account, answer_headers, name_from
from handlers.problem import as_api_error, problem_json
from server.errors import ApiError
from server.net.cut import hung_up
from server.net.websocket.fall_back import checked
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import FrameSocket
from server.net.websocket.transport import gives_transport

if TYPE_CHECKING:
    from tornado.websocket import WebSocketProtocol

    from server.gateway import Gateway

log = structlog.get_logger(__name__)

SWITCHED = 101  # after the switch, `socket closed` is the log line
CLIENT_LEFT = 499


class HandshakeHandler(WebSocketHandler):
    """What all WebSocket handlers share."""

    gateway: Gateway
    endpoint: str  # the route's template
    request_id: str
    ws_connection: WebSocketProtocol | None
    session_asks = False  # True: the dialect has heartbeats of its own, so a ping of the WebSocket would be a second
    _error_code = ""  # of the problem document that was sent

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        self.gateway = gateway

    def clear(self) -> None:
        """Set the headers of every answer. Tornado calls this before `initialize`, and again for its own errors."""
        super().clear()
        self.request_id = self.__dict__.get("request_id") or name_from(self.request.headers)
        self._headers = HTTPHeaders(answer_headers(self.request_id))

    async def get(self, *args: Any, **kwargs: Any) -> None:
        """Like Tornado's, but the client may leave before the socket is open."""
        try:
            await super().get(*args, **kwargs)
        except StreamClosedError:
            self.ws_connection = None
            # Through the class, because Tornado may have disabled the instance's own.
            WebSocketHandler.set_status(self, CLIENT_LEFT, "Client Left")

    def get_websocket_protocol(self) -> WebSocketProtocol | None:
        """Our protocol if it is configured and the HTTP reader can hand over its transport, else Tornado's."""
        settings = self.gateway.settings
        connection: object = self.request.connection
        if settings.ws_reader == "fast" and gives_transport(connection):
            # At most one batch is in flight, and none is much larger than the queue.
            interval_s = self.ping_interval or 0
            limits = SocketLimits(
                self.max_message_size,
                2 * settings.ws_queue_bytes,
                ping_interval_s=interval_s,
                pings_silent=not (self.session_asks and settings.ws_heartbeat_seconds <= interval_s),
            )
            return FrameSocket(self, limits, self.gateway.loop_turns, self.gateway.rounds, self.gateway.wakes)
        return checked(self, super().get_websocket_protocol(), self.gateway.loop_turns)

    def cut(self) -> None:
        """Close the connection now; unsent data is lost."""
        if isinstance(self.ws_connection, FrameSocket):
            self.ws_connection.abort()
        elif self.ws_connection is not None and self.ws_connection.stream is not None:
            self.ws_connection.stream.close()

    def client_left(self) -> bool:
        """True if the client has closed the connection, although that may not have been read yet.

        After a stall, ours or a proxy's, a handshake may come behind the next one of a client that has given it up.
        """
        if isinstance(self.ws_connection, FrameSocket):
            return hung_up(self.ws_connection.transport.get_extra_info("socket"))
        stream = self.ws_connection.stream if self.ws_connection is not None else None
        return stream is None or hung_up(stream.socket)

    def on_connection_close(self) -> None:
        """Called by Tornado. A client that left before its socket was open has nothing to close.

        A socket closed by us is no longer in `ws_connection`, but must be told all the same.
        """
        if self.ws_connection is not None or self.get_status() == SWITCHED:
            super().on_connection_close()

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer a refused handshake in the error form."""
        refusal = self.refused(status_code, kwargs.get("exc_info"))
        self.set_status(refusal.status)
        self.set_header("Content-Type", "application/problem+json")
        self.finish(problem_json(refusal, self.request.path, self.request_id))

    def refused(self, status_code: int, raised: tuple[Any, Any, Any] | None) -> ApiError:
        """The refusal to answer with; sets its headers."""
        refusal = as_api_error(raised[1] if raised else HTTPError(status_code))
        self._error_code = refusal.code
        self.clear()
        if refusal.code == "METHOD_NOT_ALLOWED":  # perhaps by Tornado, for a method that it does not know
            self.set_header("Allow", "GET")
        for name, value in refusal.headers.items():
            self.set_header(name, value)
        return refusal

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log what failed, without the address: its query may have a ticket or another secret. Tornado's own would show it.

        Refusals are no failures; metrics and the client know of them.
        """
        if not isinstance(value, ApiError | HTTPError):
            failed = (typ, value, tb)
            log.error("socket failed", request_id=self.request_id, endpoint=self.endpoint, exc_info=failed)

    def on_finish(self) -> None:
        """Count and log a refused handshake."""
        status = self.get_status()
        if status != SWITCHED:
            fields = {"request_id": self.request_id, "code": self._error_code}
            request = self.request
            seconds = request.request_time()
            account(
                self.gateway.metrics, logging.INFO, request.method or "", self.endpoint, status, seconds, lambda: fields
            )
