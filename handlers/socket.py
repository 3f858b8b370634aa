"""A WebSocket of either dialect: what both share when it opens, reads, writes and closes."""

from __future__ import annotations

import asyncio
from abc import abstractmethod
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import structlog
from tornado.httputil import HTTPHeaders
from tornado.util import ObjectDict

from handlers.admission import Admission
from handlers.handshake import HandshakeHandler
from handlers.writer import SocketWriter
from server.net.websocket.fall_back import CheckedProtocol
from server.net.websocket.socket import FrameSocket
from server.telemetry.traceparent import next_traceparent, trace_id
from streaming.rfc6455 import (
    ABNORMAL,
    INVALID_PAYLOAD,
    MESSAGE_TOO_BIG,
    POLICY_VIOLATION,
    PROTOCOL_ERROR,
    UNSUPPORTED_DATA,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.gateway import Gateway
    from streaming.ports import Identity
    from streaming.traffic import Traffic

log = structlog.get_logger(__name__)

_SENT = HTTPHeaders()
_NO_TEMPLATES = ObjectDict()
MAX_REASON_CHARS = 120  # RFC 6455, section 5.5: a close frame has room for 123 bytes
BROKEN_RULES = frozenset({PROTOCOL_ERROR, UNSUPPORTED_DATA, INVALID_PAYLOAD, POLICY_VIOLATION, MESSAGE_TOO_BIG})
CLOSE_TIMEOUT_S = 5.0  # for writing what waits; then the connection is cut


class SocketHandler(HandshakeHandler):
    """One WebSocket. Messages are fed to the session at once, without awaiting; a SocketWriter writes what the session sends."""

    # Whoever is closed with these is not read on: a flood would still cost what its frames cost.
    broken_rules = BROKEN_RULES

    # Tornado's own attributes then fit into the dict that instances share the keys of: 1.2 KiB less for each idle session.
    __slots__ = ("_admission", "_identity", "_opened_at", "_timer", "_writer", "traceparent")

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway)
        self._admission = Admission(gateway, self.request)
        self._identity: Identity | None = None
        self._opened_at = 0.0  # on the loop's clock
        # One at a time: first for the first message, later for the close.
        self._timer: asyncio.TimerHandle | None = None
        self._writer = SocketWriter(self, gateway.session_tasks, gateway.tick_end)
        self.traceparent = next_traceparent(given) if (given := self.request.headers.get("traceparent", "")) else ""

    def check_origin(self, origin: str) -> bool:
        """Accept pages of our own host or a configured origin."""
        return self._admission.origin_allowed(origin)

    def open(self, *_args: str, **_kwargs: str) -> None:
        """Prepare the socket after the handshake."""
        self._opened_at = asyncio.get_running_loop().time()
        self.set_nodelay(True)
        stream = self.ws_connection.stream if self.ws_connection is not None else None
        if stream is not None:  # Tornado's protocol has no limit of its own for unsent data; ours has
            stream.max_write_buffer_size = 2 * self.gateway.settings.ws_queue_bytes
        self._headers, self.ui = _SENT, _NO_TEMPLATES  # they are not needed any more, and take 1.2 KiB
        self.opened()

    @abstractmethod
    def opened(self) -> None:
        """Admit the client."""

    @abstractmethod
    def on_messages(self, messages: list[Any]) -> None:
        """Feed all messages of one read, then wake the session once: `str` and `bytes`, and LongText if `takes_long_texts`."""

    def on_message(self, message: str | bytes) -> None:
        """Handle a single message, as delivered by Tornado's protocol."""
        self.on_messages([message])

    @property
    def behind_since(self) -> float | None:
        """When the messages being delivered were read, if they have waited for their turn since; on the loop's clock."""
        return self.ws_connection.behind_since if isinstance(self.ws_connection, FrameSocket) else None

    def take_lone(self, take: Callable[[bytes | str], bool]) -> None:
        """`take` gets messages that come alone, without `on_messages`: the hot path. It returns False for those that it leaves."""
        if isinstance(self.ws_connection, FrameSocket):
            self.ws_connection.express = take

    def wake(self) -> None:
        """Send what the session has queued."""
        self._writer.wake()

    @property
    def sink(self) -> SocketWriter:
        """Takes frames of audio."""
        return self._writer

    def on_writable(self) -> None:
        """The client reads again."""
        self._writer.resume()

    def finish_within(self, farewell: str, code: int, reason: str) -> None:
        """Send what waits and the farewell, then close. Cut the connection if that takes longer than CLOSE_TIMEOUT_S."""
        if code in self.broken_rules and isinstance(self.ws_connection, FrameSocket | CheckedProtocol):
            self.ws_connection.ignore()
        self._writer.finish(farewell, code, reason)
        self._start_timer(CLOSE_TIMEOUT_S, self.cut)

    def _start_timer(self, delay_s: float, act: Callable[..., object], *args: object) -> None:
        self._cancel_timer()
        self._timer = asyncio.get_running_loop().call_later(delay_s, act, *args)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _account(self, code: int, session_id: str, traffic: Traffic | None) -> None:
        """Count and log the closed socket."""
        self.gateway.metrics.socket_closed(code)
        fields: dict[str, str | float] = {
            "request_id": self.request_id,
            "user": self._identity.user_id if self._identity is not None else "",
            "session": session_id,
            "seconds": round(asyncio.get_running_loop().time() - self._opened_at, 3),
        }
        if self.traceparent:
            fields["trace_id"] = trace_id(self.traceparent)
        log.info("socket closed", code=code, **fields, **(asdict(traffic) if traffic is not None else {}))


class ForeignSocketHandler(SocketHandler):
    """A WebSocket of another dialect than ours. Its session says the farewell in its own words."""

    _ending: int | None = None  # the code that we closed it with

    @property
    def closed_with(self) -> int:
        """The close code: ours, else the client's."""
        return self._ending or self.close_code or ABNORMAL

    def hand_over(self, code: int, reason: str) -> None:
        """Close, and leave what waits to another socket, through which the session goes on."""
        if self._ending is None:
            self._ending = code
            self._writer.stop()
            self.close(code, reason[:MAX_REASON_CHARS])

    def end(self, code: int, reason: str) -> None:
        """Send what waits, then close. Cut the connection if that takes too long."""
        if self._ending is None:
            self._ending = code
            self.finish_within("", code, reason[:MAX_REASON_CHARS])
