"""`/v1/live/sessions`: a WebSocket of OpenAI's Live API, and `/{id}/attach`: a second one beside it, for the user's own backend."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handlers.admission import requested_recording
from handlers.openai import OpenAiSocketHandler
from handlers.socket import ABNORMAL
from server.errors import ApiError
from server.operations import Access
from server.routes import Route
from streaming.openai.live import NORMAL
from streaming.openai.sideband import Sideband

if TYPE_CHECKING:
    from streaming.openai.live import RealtimeSession
    from streaming.openai.settings import Voices
    from streaming.ports import Identity


class OpenAiDuplexHandler(OpenAiSocketHandler):
    """The session's own socket. The client begins, with `session.start`."""

    endpoint = "/v1/live/sessions"

    def _session(self, identity: Identity, voices: Voices) -> RealtimeSession:
        return self.gateway.openai.begin_duplex(identity, self, voices, recording=requested_recording(self.request))


class OpenAiSidebandHandler(OpenAiSocketHandler):
    """A second socket of a session, opened by the same user."""

    endpoint = "/v1/live/sessions/{id}/attach"
    _sideband: Sideband | None = None

    async def prepare(self) -> None:
        """Raises ApiError: the handshake is refused with its status."""
        await super().prepare()
        assert self._identity is not None, "it was let in"
        if self._settings is not None:
            raise ApiError("FORBIDDEN", "a client secret opens a session of its own only")
        if self.gateway.openai.duplex(self.path_args[0], self._identity) is None:
            raise ApiError("NOT_FOUND", "there is no such session, or it has not started")

    def opened(self) -> None:
        """Attach to the session, which may have ended since the handshake."""
        assert self._identity is not None, "prepare() has let it in"
        live = self.gateway.openai.duplex(self.path_args[0], self._identity)
        if live is None:
            self.end(NORMAL, "", "the session has ended")
            return
        self._sideband = Sideband(live, self)
        self._writer.begin(self._sideband)

    def on_messages(self, messages: list[str | bytes]) -> None:
        """Handle all messages of one read."""
        if self._sideband is not None and self._ending is None:
            for message in messages:
                self._sideband.receive(message)

    def on_close(self) -> None:
        """The socket is closed; the session continues."""
        self._cancel_timer()
        self._writer.stop()
        sideband, self._sideband = self._sideband, None
        if sideband is not None:
            sideband.detach()
        self._account(self._ending or self.close_code or ABNORMAL, self.path_args[0], None)


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
