"""`/ws/{session_id}`: the socket itself. It lets in, feeds and writes; everything else is the session's."""

from __future__ import annotations

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import structlog

from handlers.admission import Admission, requested_recording, requested_resume
from handlers.handshake import HandshakeHandler
from handlers.writer import SocketWriter
from server.operations import Access
from server.routes import Route
from server.telemetry.traceparent import next_traceparent, trace_id
from streaming.jarvis.entry import SUBPROTOCOL, CloseCode, RefusedError, enter, farewell, farewell_of, first_token
from streaming.jarvis.registry import ForbiddenError

if TYPE_CHECKING:
    from server.gateway import Gateway
    from streaming.jarvis.entry import Attachment
    from streaming.jarvis.journal import SavedSession
    from streaming.ports import Identity

log = structlog.get_logger(__name__)

AUTH_TIMEOUT_S = 10.0  # for the first message of a socket that brought no token
ABNORMAL = 1006  # RFC 6455 section 7.1.5: the connection ended without a close frame
CLOSE_TIMEOUT_S = 5.0  # what waits is still written for so long, then the connection is cut
MAX_EARLY_MESSAGES = 16  # sent behind `auth` without waiting for `session.ready`


class RealtimeHandler(HandshakeHandler):
    """One WebSocket. What comes is fed to the session at once, never awaited; a SocketWriter writes what it says."""

    endpoint = "/ws/{session_id}"

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway)
        self._admission = Admission(gateway, self.request)
        self._identity: Identity | None = None
        self._refused: RefusedError | None = None
        self._saved: SavedSession | None = None  # claimed from another replica, to be continued
        self._attachment: Attachment | None = None
        self.traceparent = next_traceparent(given) if (given := self.request.headers.get("traceparent", "")) else ""
        self._opened_at = 0.0  # the loop's time
        self._early: list[str | bytes] | None = None  # a list while the first message's token is looked at
        self._ending: tuple[CloseCode, str] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._writer = SocketWriter(self, gateway.session_tasks)

    async def prepare(self) -> None:
        """Before the upgrade: who is it? A refusal is told after it, since a browser sees no status of a handshake."""
        self._admission.check_handshake(self.path_args[0])
        try:
            self._identity = await self._admission.identify()
        except RefusedError as refused:
            self._refused = refused
        else:
            await self._claim()

    async def _claim(self) -> None:
        """Another replica may have saved the session that the client wants to resume."""
        if self._identity is not None:
            resume = requested_resume(self.request)
            self._saved = await self.gateway.jarvis.claim(self.path_args[0], self._identity, resume)

    def check_origin(self, origin: str) -> bool:
        """Only pages of our own host, or of the origins configured."""
        return self._admission.origin_allowed(origin)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """`jarvis.v1` when offered; the token beside it is never echoed."""
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None

    def open(self, *_args: str, **_kwargs: str) -> None:
        """The handshake is done."""
        self._opened_at = asyncio.get_running_loop().time()
        self.set_nodelay(True)
        stream = self.ws_connection.stream if self.ws_connection is not None else None
        if stream is not None:  # Tornado's protocol: the fuse that ours has in its limits
            stream.max_write_buffer_size = 2 * self.gateway.settings.ws_queue_bytes
        if self._refused is not None:
            self.refuse(self._refused)
        elif self._identity is not None:
            self._enter(self._identity)
        else:
            timeout = RefusedError(CloseCode.AUTH_TIMEOUT, "no token came in time", "timeout")
            self._timer = asyncio.get_running_loop().call_later(AUTH_TIMEOUT_S, self.refuse, timeout)

    def _enter(self, identity: Identity) -> None:
        try:
            self._admission.check_sockets(identity, self.path_args[0])
            asked, recording = requested_resume(self.request), requested_recording(self.request)
            self._attachment = enter(
                self.gateway.jarvis, self.path_args[0], identity, self, asked, self._saved, recording=recording
            )
            self._writer.begin(self._attachment)
        except RefusedError as refused:
            self.refuse(refused)
        except ForbiddenError:
            self.refuse(RefusedError(CloseCode.FORBIDDEN, "the session belongs to another user", "forbidden"))

    def refuse(self, refused: RefusedError) -> None:
        """Not let in."""
        self.gateway.metrics.auth_failure(refused.reason)
        self.end(refused.close_code, refused.message)

    # --- in ---

    def on_messages(self, messages: list[str | bytes]) -> None:
        """All of one read: the session takes them, then is woken once."""
        attachment = self._attachment
        if attachment is not None:
            attachment.feed(messages)
            return
        try:
            for message in messages:
                self._before_entry(message)
        except RefusedError as refused:
            self.refuse(refused)

    def on_message(self, message: str | bytes) -> None:
        """One at a time, as Tornado's protocol brings them."""
        self.on_messages([message])

    def _before_entry(self, message: str | bytes) -> None:
        """The first message has to be `auth`; what comes right behind it waits."""
        if self._ending is not None:
            return
        if self._early is None:
            token = first_token(message)
            self._early = []
            self.gateway.session_tasks.create_task(self._authenticate(token), name="socket auth")
        elif len(self._early) < MAX_EARLY_MESSAGES:
            self._early.append(message)
        else:
            raise RefusedError(CloseCode.TOO_MANY_MESSAGES, "wait for session.ready before you send", "flood")

    async def _authenticate(self, token: str) -> None:
        try:
            self._identity = await self._admission.identify_token(token)
            await self._claim()
        except RefusedError as refused:
            self.refuse(refused)
            return
        self._cancel_timer()
        if self._ending is None:
            self._enter(self._identity)
        early, self._early = self._early or [], None
        self.on_messages(early)

    def on_close(self) -> None:
        """The socket is gone."""
        self._cancel_timer()
        self._refused = None  # its traceback leads back to us: a cycle, which only a full collection would find
        if self._attachment is not None:
            self._attachment.closed(for_good=self.close_code == CloseCode.NORMAL and self._ending is None)
        self._writer.stop()
        code = self._ending[0].value if self._ending else self.close_code or ABNORMAL
        self.gateway.metrics.socket_closed(code)
        log.info("socket closed", code=code, **self._log_fields())
        self._attachment = None  # it holds the session and this handler

    def _log_fields(self) -> dict[str, str | float]:
        """Whose socket it was, and what crossed it."""
        fields: dict[str, str | float] = {
            "request_id": self.request_id,
            "user": self._identity.user_id if self._identity is not None else "",
            "session": self.path_args[0],
            "seconds": round(asyncio.get_running_loop().time() - self._opened_at, 3),
        }
        if self.traceparent:
            fields["trace_id"] = trace_id(self.traceparent)
        return fields | asdict(self._attachment.traffic) if self._attachment is not None else fields

    # --- out ---

    def wake(self) -> None:
        """There is something to send."""
        self._writer.wake()

    def on_writable(self) -> None:
        """The client takes more again."""
        self._writer.resume()

    def last_words(self, code: int, reason: str) -> str:
        """The `error` before a close that the socket itself decides: broken frames, floods, failures of ours."""
        return farewell_of(code, reason)

    def end(self, code: CloseCode, reason: str) -> None:
        """Send what waits, say why in an `error`, close; cut the connection when that takes too long."""
        if self._ending is None:
            self._ending = (code, reason)
            self._writer.finish(farewell(code, reason), code.value, reason)
            self._cancel_timer()
            self._timer = asyncio.get_running_loop().call_later(CLOSE_TIMEOUT_S, self.cut)

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


routes = (
    # whoever comes proves who they are on the socket itself: a browser can't send a header with the handshake
    Route(RealtimeHandler.endpoint, RealtimeHandler, Access.PUBLIC, pattern=r"/ws/([A-Za-z0-9_.:-]{1,128})"),
)
