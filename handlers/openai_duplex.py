"""`/v1/live/sessions`: a WebSocket of OpenAI's Live API, and `/{id}/attach`: a second one beside it, for the user's own backend."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from handlers.admission import requested_recording
from handlers.openai import OpenAiSocketHandler
from server.errors import ApiError
from server.operations import Access
from server.roles import include
from server.routes import Route
from streaming.expiry import TokenTimer
from streaming.openai.inbox import LONG_CHARS
from streaming.openai.sideband import Sideband
from streaming.rfc6455 import NORMAL, POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.gateway import Gateway
    from streaming.openai.live import RealtimeSession
    from streaming.openai.settings import Voices
    from streaming.ports import Identity

MAX_SIDEBANDS = 8  # of one session: each may let 4 MiB wait


class OpenAiDuplexHandler(OpenAiSocketHandler):
    """The session's own socket. The client begins, with `session.start`."""

    endpoint = "/v1/live/sessions"
    _resumed_id = ""

    def _session(self, identity: Identity, voices: Voices) -> RealtimeSession:
        return self.gateway.openai.begin_duplex(identity, self, voices, recording=requested_recording(self.request))


class OpenAiSidebandHandler(OpenAiSocketHandler):
    """A second socket of a session, opened by the same user."""

    endpoint = "/v1/live/sessions/{id}/attach"
    takes_secrets = takes_long_texts = False
    _resumed_id = ""

    @property
    def max_message_size(self) -> int:
        """Smaller than the session's own: it sends no audio, and its events are parsed at once."""
        return LONG_CHARS

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway)
        self._sideband: Sideband | None = None
        self._expiry = TokenTimer(asyncio.get_running_loop(), None, self._on_expired)
        self._hear_no_more: Callable[[], None] = lambda: None  # of sign-outs

    async def prepare(self) -> None:
        """Raises ApiError: the handshake is refused with its status."""
        await super().prepare()
        assert self._identity is not None, "it was let in"
        live = self.gateway.openai.duplex(self.path_args[0], self._identity)
        if live is None:
            raise ApiError("NOT_FOUND", "there is no such session, or it has not started")
        if not include(self._identity.roles, live.identity.roles):  # what it asks for is done in the session's name
            raise ApiError("FORBIDDEN", "the token needs the roles that the session has")
        if sum(isinstance(tap, Sideband) for tap in live.taps) >= MAX_SIDEBANDS:
            raise ApiError("RATE_LIMITED", f"a session has at most {MAX_SIDEBANDS} such sockets")

    def opened(self) -> None:
        """Attach to the session, which may have ended since the handshake."""
        assert self._identity is not None, "prepare() has let it in"
        live = self.gateway.openai.duplex(self.path_args[0], self._identity)
        if live is None:
            self.end(NORMAL, "the session has ended")
            return
        self._sideband = Sideband(live, self)
        self.gateway.residents.beside[self._identity.user_id] += 1
        self._writer.begin(self._sideband)
        # Its token may be another than the session's own.
        self._expiry.start(self._identity.expires_at)
        self._hear_no_more = self.gateway.state.subscribe(self._on_news)

    def _on_expired(self) -> None:
        self.end(POLICY_VIOLATION, "the token has expired")

    def _on_news(self, kind: str, news: dict[str, Any]) -> None:
        if kind == "revoked" and self._identity is not None and news["token_id"] in self._identity.signed_out_by:
            self.end(POLICY_VIOLATION, "the token was signed out")

    def on_messages(self, messages: list[str | bytes]) -> None:
        """Handle all messages of one read."""
        if self._sideband is not None and self._ending is None:
            for message in messages:
                self._sideband.receive(message, self.behind_since)

    def on_close(self) -> None:
        """The socket is closed; the session continues."""
        self._cancel_timer()
        self._expiry.stop()
        self._hear_no_more()
        self._hear_no_more = lambda: None
        self._writer.stop()
        sideband, self._sideband = self._sideband, None
        if sideband is not None and self._identity is not None:
            sideband.detach()
            beside, user_id = self.gateway.residents.beside, self._identity.user_id
            beside[user_id] -= 1
            if not beside[user_id]:
                del beside[user_id]
        self._account(self.closed_with, self.path_args[0], None)


routes = (
    # the handshakes themselves are authorised: see prepare()
    Route(OpenAiDuplexHandler.endpoint, OpenAiDuplexHandler, Access.PUBLIC),
    Route(
        OpenAiSidebandHandler.endpoint,
        OpenAiSidebandHandler,
        Access.PUBLIC,
        pattern=r"/v1/live/sessions/([A-Za-z0-9_-]{1,64})/attach",
    ),
)
