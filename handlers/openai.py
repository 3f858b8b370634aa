"""`/v1/realtime`: a WebSocket of OpenAI's dialect. Clients are refused before the upgrade, in OpenAI's error form."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from handlers.admission import requested_recording
from handlers.socket import ForeignSocketHandler
from server.errors import ApiError
from server.identity.auth import CLIENT_SECRET, TokenError
from server.net.query import query_texts
from server.net.websocket.fall_back import CheckedProtocol
from server.net.websocket.socket import FrameSocket
from server.operations import Access
from server.operations.openai_errors import error_json, status_of
from server.operations.roles import allows
from server.overload import RETRY_AFTER_S
from server.routes import Route
from streaming.jarvis.entry import RefusedError
from streaming.openai.closing import parting
from streaming.openai.mistakes import MistakeError
from streaming.rfc6455 import INTERNAL_ERROR, MESSAGE_TOO_BIG, POLICY_VIOLATION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.gateway import Gateway
    from streaming.openai.live import RealtimeSession
    from streaming.openai.room import Holding
    from streaming.openai.settings import Voices
    from streaming.ports import Identity

SUBPROTOCOL = "realtime"
KEY_PROTOCOL = "openai-insecure-api-key."
MAX_MESSAGE_BYTES = 21 * 1024 * 1024  # an append has up to 15 MiB of audio, which is 20 MiB of base64
_LAST_WORDS = {
    MESSAGE_TOO_BIG: ("message_too_big", "the message is too large"),
    INTERNAL_ERROR: ("internal_error", "something went wrong in the gateway"),
    POLICY_VIOLATION: ("rate_limit_exceeded", "too many messages"),
}
MAX_MODEL_CHARS = 128  # of the echoed name


class OpenAiSocketHandler(ForeignSocketHandler):
    """One WebSocket of OpenAI's dialect."""

    endpoint = "/v1/realtime"
    takes_secrets = True
    takes_long_texts = True  # see FrameReader

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway)
        self._voices: Voices | None = None
        self._settings: dict[str, Any] | None = None  # settings of a client secret
        self._live: RealtimeSession | None = None
        self._query: dict[str, str] = {}
        self._unfinished: Holding | None = None  # of the room for what waits: the part of a message that has arrived
        self._dropped = False  # that message

    @property
    def max_message_size(self) -> int:
        """Larger than for other sockets, because audio comes in long base64 pieces."""
        return MAX_MESSAGE_BYTES

    # --- before the upgrade ---

    async def prepare(self) -> None:
        """Admit the client before the upgrade. Raises ApiError, whose status refuses the handshake."""
        self._query = query_texts(self.request)
        self._admission.check_handshake(self._resumed_id)
        await self.gateway.codecs.ready()
        identity = await self._identify()
        if not allows(Access.USER, identity.roles):
            raise ApiError("FORBIDDEN", "a live session needs the role user")
        self._check_sockets(identity)
        self._voices = await self.gateway.openai.voices(identity)
        self._check_sockets(identity)  # many handshakes of one user may have waited for the voices
        await self._spend_secret()
        self._check_sockets(identity)  # or for Redis
        self.gateway.authenticator.check_signed_in(identity)  # a sign-out during the wait found no session to close
        self._identity = identity

    def _check_sockets(self, identity: Identity) -> None:
        """Raises ApiError if the user or the gateway has too many: a session that goes on is none more.

        That holds until the next await, so the last check is before the session begins.
        """
        live = self._resumable(identity)
        if live is None and self.gateway.overload.full:
            raise ApiError("OVERLOADED", headers={"Retry-After": str(RETRY_AFTER_S)})
        try:
            self._admission.check_sockets(identity, "" if live is None else live.session_id)
        except RefusedError as refused:
            raise ApiError("RATE_LIMITED", refused.message, headers={"Retry-After": "1"}) from None

    async def _spend_secret(self) -> None:
        """Use up a client secret, after all other checks: a refused handshake may be tried again. Raises ApiError."""
        if self._settings is not None:
            with self._counting_refusals():
                await self.gateway.authenticator.spend_client_secret(self._key())

    @property
    def _resumed_id(self) -> str:
        """The session that the client asks for; empty: a new one."""
        return self._query.get("resume", "")

    @property
    def _last_event_id(self) -> str:
        return self._query.get("last_event_id", "")

    def _resumable(self, identity: Identity) -> RealtimeSession | None:
        """The session that the client resumes, if that is possible. A client secret is for a new session only."""
        if self._settings is not None or not self._resumed_id:
            return None
        return self.gateway.openai.waiting(self._resumed_id, self._last_event_id, identity)

    def _session(self, identity: Identity, voices: Voices) -> RealtimeSession:
        """The session that the client resumes, if possible, else a new one."""
        sessions = self.gateway.openai
        live = self._resumable(identity)
        if live is not None:
            sessions.resume(live, self, identity, self._last_event_id)
            return live
        return sessions.begin(
            identity,
            self,
            voices,
            model=self._query.get("model", "")[:MAX_MODEL_CHARS],
            transcription=self._query.get("intent", "") == "transcription",
            settings=self._settings,
            recording=requested_recording(self.request),
        )

    async def _identify(self) -> Identity:
        token = self._key()
        if not token:
            self.gateway.metrics.auth_failure("unauthenticated")
            raise ApiError("UNAUTHENTICATED", headers={"WWW-Authenticate": "Bearer"})
        authenticator = self.gateway.authenticator
        with self._counting_refusals():
            if token.startswith(CLIENT_SECRET):
                if not self.takes_secrets:
                    raise ApiError("FORBIDDEN", "a client secret opens a session of its own only")
                identity, self._settings = await authenticator.client_secret(token)
            else:
                identity = await authenticator.admit(token)
        return identity

    @contextmanager
    def _counting_refusals(self) -> Iterator[None]:
        try:
            yield
        except TokenError as refused:
            self.gateway.metrics.auth_failure(refused.reason)
            raise

    def _key(self) -> str:
        """The key, from the header or from a browser's subprotocol."""
        scheme, _, token = self.request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() == "bearer" and token.strip():
            return token.strip()
        offered = (item.strip() for item in self.request.headers.get("Sec-WebSocket-Protocol", "").split(","))
        return next((item.removeprefix(KEY_PROTOCOL) for item in offered if item.startswith(KEY_PROTOCOL)), "")

    def write_error(self, status_code: int, **kwargs: Any) -> None:
        """Answer a refused handshake in OpenAI's error form."""
        refusal = self.refused(status_code, kwargs.get("exc_info"))
        self.set_status(status_of(refusal))
        self.finish(error_json(refusal))

    def select_subprotocol(self, subprotocols: list[str]) -> str | None:
        """`realtime` if offered; the key offered beside it is never echoed."""
        return SUBPROTOCOL if SUBPROTOCOL in subprotocols else None

    # --- the socket ---

    def opened(self) -> None:
        """Start a session, or continue the one that the client resumes."""
        assert self._identity is not None, "prepare() has let it in"
        assert self._voices is not None, "likewise"
        self._live = self._session(self._identity, self._voices)
        self._unfinished = self.gateway.openai.room.holding(self._identity.user_id)
        self._writer.begin(self._live)
        self.take_lone(self._hear)

    def _hear(self, message: str | bytes) -> bool:
        """Take a piece of audio that came alone. False: deliver it as usual."""
        return self._live is not None and self._ending is None and self._live.hear(message)

    def on_messages(self, messages: list[Any]) -> None:
        """Handle all messages of one read."""
        if self._live is not None and self._ending is None:
            if self._unfinished is not None:
                self._unfinished.clear()
            if self._dropped:
                messages, self._dropped = messages[1:], False  # the first is the empty rest of it
            for message in messages:
                self._live.receive(message, self.behind_since)
            self.on_part()  # the beginning of the next one may have come, too

    def on_part(self) -> None:
        """A part of a message came. It takes room, too: if there is none, the message is dropped, and its client told."""
        connection, holding, live = self.ws_connection, self._unfinished, self._live
        if holding is None or live is None or not isinstance(connection, FrameSocket | CheckedProtocol):
            return
        more = connection.reader.kept_bytes - holding.n_bytes
        if more <= 0 or holding.fits(more):
            holding.grow(more)
            return
        connection.reader.drop()
        holding.clear()
        self._dropped = True
        live.refuse()

    def on_close(self) -> None:
        """Detach the session. It waits for the client, unless the client closed for good."""
        self._cancel_timer()
        self._writer.stop()
        if self._unfinished is not None:
            self._unfinished.clear()
            self._unfinished = None  # what is still read is thrown away
        live, self._live = self._live, None
        if live is None:
            return
        code = self.closed_with
        self.gateway.openai.left(live, self, code)
        self._account(code, live.session_id, live.traffic)

    def last_words(self, code: int, reason: str) -> list[str | bytes]:
        """What waits, and the `error` before a close by the socket itself: invalid frames, too many messages, our own failures."""
        kind = "server_error" if code == INTERNAL_ERROR else "invalid_request_error"
        word, message = _LAST_WORDS.get(code, ("invalid_frame", reason))
        mistake = MistakeError(word, reason or message, kind=kind)
        return [parting(mistake)] if self._live is None else self._live.last_words(self, mistake)


routes = (
    # prepare() authorises the handshake itself
    Route(OpenAiSocketHandler.endpoint, OpenAiSocketHandler, Access.PUBLIC),
)
