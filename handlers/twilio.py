"""`/v1/twilio`: a telephone call by Twilio Media Streams. Only handshakes that Twilio signed are admitted."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from handlers.socket import ForeignSocketHandler
from server.errors import ApiError
from server.identity.twilio import is_signed
from server.operations import Access
from server.routes import Route
from streaming.jarvis.entry import RefusedError
from streaming.rfc6455 import POLICY_VIOLATION
from streaming.twilio.pace import MessagePace
from streaming.twilio.registry import caller_of
from streaming.twilio.wire import Start, UnreadableMessageError, read

if TYPE_CHECKING:
    from server.gateway import Gateway
    from streaming.twilio.call import PhoneCall

START_TIMEOUT_S = 10.0  # Twilio sends `start` directly after the handshake
MAX_MESSAGE_BYTES = 64 * 1024  # Twilio's have a few hundred


class TwilioHandler(ForeignSocketHandler):
    """One call's WebSocket."""

    endpoint = "/v1/twilio"

    def initialize(self, gateway: Gateway) -> None:
        """Called by Tornado for every request."""
        super().initialize(gateway)
        self._call: PhoneCall | None = None

    @property
    def max_message_size(self) -> int:
        """Smaller than for other sockets."""
        return MAX_MESSAGE_BYTES

    async def prepare(self) -> None:
        """Admit Twilio before the upgrade. Raises ApiError, whose status refuses the handshake."""
        self._admission.check_handshake("")
        settings = self.gateway.settings
        auth_token = settings.twilio_auth_token.get_secret_value()
        if not auth_token:
            raise ApiError("NOT_FOUND", "telephony is not set up: set TWILIO_AUTH_TOKEN")
        url = settings.twilio_url or f"wss://{self.request.host}{self.request.uri}"
        if not is_signed(url, self.request.headers.get("X-Twilio-Signature", ""), auth_token):
            self.gateway.metrics.auth_failure("signature")
            raise ApiError("FORBIDDEN", "X-Twilio-Signature is missing, or not of this address")
        await self.gateway.codecs.ready()

    def opened(self) -> None:
        """Wait for `start`."""
        self._pace = MessagePace(asyncio.get_running_loop().time())
        late = "no start message came in time"
        self._start_timer(START_TIMEOUT_S, self.end, POLICY_VIOLATION, "", late)

    def on_messages(self, messages: list[str | bytes]) -> None:
        """Handle all messages of one read."""
        arrived_at = self.behind_since or asyncio.get_running_loop().time()
        for message in messages:
            if self._ending is not None:
                return
            if not self._pace.takes(message, arrived_at):
                self.end(POLICY_VIOLATION, "too many messages")
                return
            if self._call is not None:
                self._call.receive(message)
            else:
                self._before_start(message)

    def _before_start(self, message: str | bytes) -> None:
        try:
            start = read(message)
            if isinstance(start, Start):
                self._begin(start)
        except UnreadableMessageError as flaw:
            self.end(POLICY_VIOLATION, str(flaw))
        except RefusedError as refused:
            self.gateway.metrics.auth_failure(refused.reason)
            self.end(POLICY_VIOLATION, refused.message)

    def _begin(self, start: Start) -> None:
        self._cancel_timer()
        identity = caller_of(start)
        self._admission.check_sockets(identity, "")
        self._identity = identity
        self._call = self.gateway.twilio.begin(identity, self, start)
        self._writer.begin(self._call)

    def on_close(self) -> None:
        """The caller, Twilio or we have hung up."""
        self._cancel_timer()
        self._writer.stop()
        call, self._call = self._call, None
        if call is not None:
            self.gateway.twilio.left(call)
        self._account(
            self.closed_with, call.session_id if call is not None else "", call.traffic if call is not None else None
        )

    def last_words(self, code: int, reason: str) -> list[str]:  # noqa: ARG002 - part of the socket's interface
        """None: Twilio has no such message."""
        return []


routes = (
    # prepare() checks Twilio's signature
    Route(TwilioHandler.endpoint, TwilioHandler, Access.PUBLIC),
)
