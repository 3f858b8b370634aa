"""`/ws/{session_id}`: the native dialect's socket. It admits, feeds and writes; everything else belongs to the session."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.admission import requested_recording, requested_resume
from handlers.socket import BROKEN_RULES, SocketHandler
from server.operations import Access
from server.routes import Route
from streaming.jarvis.entry import SUBPROTOCOL, CloseCode, RefusedError, enter, farewell, farewell_of, first_token
from streaming.jarvis.registry import ForbiddenError
from streaming.rfc6455 import ABNORMAL

if TYPE_CHECKING:
    from server.gateway import Gateway
    from streaming.jarvis.entry import Attachment
    from streaming.jarvis.registry import Claimed
    from streaming.ports import Identity

AUTH_TIMEOUT_S = 10.0  # for the first message of a socket without a token
MAX_EARLY_MESSAGES = 16  # sent after `auth`, before `session.ready`


class RealtimeHandler(SocketHandler):
    """One WebSocket of jarvis.v1."""

    endpoint = "/ws/{session_id}"
    session_asks = True
    broken_rules = BROKEN_RULES | {CloseCode.TOO_MANY_MESSAGES}

    __slots__ = ("_attachment", "_early", "_ending", "_refused", "_saved")

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway)
        self._refused: RefusedError | None = None
        self._saved: Claimed = None  # claimed from another replica, to be resumed
        self._attachment: Attachment | None = None
        self._early: list[str | bytes] | None = None  # a list while the first message's token is verified
        self._ending: CloseCode | None = None

    async def prepare(self) -> None:
        """Identify the client before the upgrade. A refusal follows after it, because browsers do not see a handshake's status."""
        self._admission.check_handshake(self.path_args[0])
        await self.gateway.codecs.ready()
        try:
            self._identity = await self._admission.identify()
        except RefusedError as refused:
            self._refused = refused
        else:
            await self._claim()

    async def _claim(self) -> None:
        """Claim the session to resume, if another replica saved it."""
        if self._identity is not None:
            resume = requested_resume(self.request)
            self._saved = await self.gateway.jarvis.claim(self.path_args[0], self._identity, resume)

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """`jarvis.v1` if offered; the token offered beside it is never echoed."""
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None

    def opened(self) -> None:
        """Admit a client that has shown a token; others must do so in their first message."""
        if self._refused is not None:
            self.refuse(self._refused)
        elif self._identity is not None:
            self._enter(self._identity)
        else:
            timeout = RefusedError(CloseCode.AUTH_TIMEOUT, "no token came in time", "timeout")
            self._start_timer(AUTH_TIMEOUT_S, self.refuse, timeout)

    def _enter(self, identity: Identity) -> None:
        if self.client_left():  # it must not take the session from the client's next socket
            self.cut()  # a claimed record can be claimed again
            return
        try:
            self._admission.check_signed_in(identity)
            self._admission.check_sockets(identity, self.path_args[0])
            asked, recording = requested_resume(self.request), requested_recording(self.request)
            self._attachment = enter(
                self.gateway.jarvis, self.path_args[0], identity, self, asked, self._saved, recording=recording
            )
            self._writer.begin(self._attachment)
            self.take_lone(self._attachment.hear)
        except RefusedError as refused:
            self.refuse(refused)
        except ForbiddenError:
            self.refuse(RefusedError(CloseCode.FORBIDDEN, "the session belongs to another user", "forbidden"))

    def refuse(self, refused: RefusedError) -> None:
        """Close the socket of a client that is not admitted."""
        self.gateway.metrics.auth_failure(refused.reason)
        self.end(refused.close_code, refused.message)

    # --- in ---

    def on_messages(self, messages: list[str | bytes]) -> None:
        """Feed all messages of one read; the session is woken once."""
        attachment = self._attachment
        if attachment is not None:
            attachment.feed(messages, self.behind_since)
            return
        try:
            for message in messages:
                self._before_entry(message)
        except RefusedError as refused:
            self.refuse(refused)

    def on_part(self) -> None:
        """Bytes came that complete no frame: a sign of life."""
        if self._attachment is not None:
            self._attachment.heard()

    def on_ping(self, data: bytes) -> None:  # noqa: ARG002 - Tornado's name for it
        """So is a ping of the WebSocket itself."""
        self.on_part()

    def on_pong(self, data: bytes) -> None:  # noqa: ARG002 - Tornado's name for it
        """And a pong, asked for or not."""
        self.on_part()

    def _before_entry(self, message: str | bytes) -> None:
        """The first message must be `auth`; messages directly after it wait."""
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
            self._admission.check_room(self.path_args[0])  # its token may come seconds after the handshake
            await self._claim()
        except RefusedError as refused:
            self.refuse(refused)
            return
        if self._ending is not None:
            return  # the timer is that of the close
        self._cancel_timer()
        self._enter(self._identity)
        early, self._early = self._early or [], None
        if self._attachment is not None:
            self.on_messages(early)

    def on_close(self) -> None:
        """Detach the session, count and log."""
        self._cancel_timer()
        self._refused = None  # its traceback refers to us: a cycle that only a full collection finds
        if self._attachment is not None:
            self._attachment.closed(for_good=self.close_code == CloseCode.NORMAL and self._ending is None)
        self._writer.stop()
        traffic = self._attachment.traffic if self._attachment is not None else None
        self._account(self._ending or self.close_code or ABNORMAL, self.path_args[0], traffic)
        self._attachment = None  # it refers to the session and this handler

    # --- out ---

    def last_words(self, code: int, reason: str) -> list[str]:
        """The `error` before a close by the socket itself: invalid frames, too many messages, our own failures."""
        words = farewell_of(code, reason)
        if self._attachment is not None:
            self._attachment.said(words)
        return [words]

    def end(self, code: CloseCode, reason: str) -> None:
        """Send what waits and an `error` with the reason, then close. Cut the connection if that takes too long."""
        if self._ending is None:
            self._ending = code
            self.finish_within(farewell(code, reason), code.value, reason)


routes = (
    # Clients authenticate on the socket itself, because browsers cannot send a header with the handshake.
    Route(RealtimeHandler.endpoint, RealtimeHandler, Access.PUBLIC, pattern=r"/ws/([A-Za-z0-9_.:-]{1,128})"),
)
