"""Who may open a socket: checks Host and Origin, the token in its four places, and limits per address and user."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from server.errors import ApiError
from server.identity.tokens import TokenError
from server.net.client_address import client_address
from server.net.query import query_texts
from server.overload import RETRY_AFTER_S
from server.roles import OPERATOR, USER
from streaming.jarvis.entry import CloseCode, RefusedError
from streaming.jarvis.registry import Resume
from streaming.ports import PHONE_USERS, Identity

if TYPE_CHECKING:
    from tornado.httputil import HTTPServerRequest

    from server.gateway import Gateway

BEARER_PROTOCOL = "jarvis.bearer."
MAX_SEQ_DIGITS = 16  # sequence numbers end at 2^53 - 1
NEVER_SENT = -1
_KEY = re.compile(r"[A-Za-z0-9+/]{22}==")


def requested_resume(request: HTTPServerRequest) -> Resume | None:
    """`?resume=…&last_seq=…`. A `last_seq` that is not a valid sequence number becomes NEVER_SENT, which cannot be resumed."""
    texts = query_texts(request)
    token, seq = texts.get("resume", ""), texts.get("last_seq", "0")
    valid = seq.isascii() and seq.isdigit() and len(seq) < MAX_SEQ_DIGITS
    return Resume(token, int(seq) if valid else NEVER_SENT) if token else None


def requested_recording(request: HTTPServerRequest) -> bool:
    """True for `?record=true`, the client's consent to be recorded."""
    return query_texts(request).get("record", "").lower() == "true"


def _split(address: str) -> SplitResult:
    """The address's parts; all empty if it is not a valid URL."""
    try:
        return urlsplit(address)
    except ValueError:
        return urlsplit("")


class Admission:
    """Admission of one handshake."""

    def __init__(self, gateway: Gateway, request: HTTPServerRequest) -> None:
        self._gateway = gateway
        self._settings = gateway.settings
        self._request = request

    def check_handshake(self, session_id: str) -> None:
        """Check whether the request may become a socket.

        Raises ApiError: 400, 405, 426 for an invalid handshake; 400, 403 for a wrong host or origin; 429 for too many; 503 while
        draining or overloaded. Under load, a client may still return to a session of this process.
        """
        self._check_form()
        self._check_place()
        if self._gateway.draining:
            raise ApiError("DRAINING", headers={"Retry-After": "1"})
        if self._gateway.overload.full and self._gateway.residents.current(session_id) is None:
            raise ApiError("OVERLOADED", headers={"Retry-After": str(RETRY_AFTER_S)})
        address = client_address(
            self._request.remote_ip or "",
            self._request.headers.get("X-Forwarded-For", ""),
            self._settings.trusted_proxies,
        )
        if not self._gateway.handshakes.admit(address, time.monotonic()):
            raise ApiError("RATE_LIMITED", "too many handshakes from this address", headers={"Retry-After": "60"})

    def _check_form(self) -> None:
        """RFC 6455 section 4.2.1. Tornado would refuse most of it too, but with an error form of its own."""
        request, headers = self._request, self._request.headers
        if request.method != "GET":
            raise ApiError("METHOD_NOT_ALLOWED", headers={"Allow": "GET"})
        if headers.get("Upgrade", "").lower() != "websocket" or request.version != "HTTP/1.1":
            raise ApiError("BAD_REQUEST", "this address speaks WebSocket only")
        if "upgrade" not in [word.strip().lower() for word in headers.get("Connection", "").split(",")]:
            raise ApiError("BAD_REQUEST", "a handshake needs the header Connection: Upgrade")
        if headers.get("Sec-WebSocket-Version") != "13":
            raise ApiError("UPGRADE_REQUIRED", headers={"Sec-WebSocket-Version": "13"})
        if not _KEY.fullmatch(headers.get("Sec-WebSocket-Key", "")):
            raise ApiError("BAD_REQUEST", "Sec-WebSocket-Key has to be 16 bytes in base64")
        query_texts(request)

    def _check_place(self) -> None:
        """Check the Origin. The Host was checked before (server.net.served_names)."""
        origin = self._request.headers.get("Origin")
        if origin is not None and not self.origin_allowed(origin):
            raise ApiError("FORBIDDEN", "pages of this origin may not open sockets here")

    def origin_allowed(self, origin: str) -> bool:
        """True for pages of our own host or a configured origin; only browsers send an Origin."""
        return origin in self._settings.cors_origins or _split(origin).netloc.lower() == self._request.host.lower()

    async def identify(self) -> Identity | None:
        """The identity by header, subprotocol, ticket or, in development, `user_id`; None if the first message has to bring it.

        Raises RefusedError, also for a client that says by `auth=none` that its first message will not; and ApiError UNAVAILABLE
        (503) if it cannot be known now whether a ticket is good.
        """
        token = self._bearer()
        if token:
            return await self.identify_token(token)
        ticket = self._argument("ticket")
        if ticket:
            return await self._identify_ticket(ticket)
        user_id = self._argument("user_id")
        if user_id and self._settings.debug and not user_id.startswith(PHONE_USERS):
            return Identity(user_id, user_id, (USER, OPERATOR))
        if self._argument("auth") == "none":
            raise RefusedError(CloseCode.BAD_TOKEN, "no token came with the handshake", "no_token")
        return None

    def _bearer(self) -> str:
        header = self._request.headers.get("Authorization", "")
        scheme, _, token = header.partition(" ")
        if scheme.lower() == "bearer" and token:
            return token.strip()
        offered = self._request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        found = [item.strip() for item in offered if item.strip().startswith(BEARER_PROTOCOL)]
        return found[0].removeprefix(BEARER_PROTOCOL) if found else ""

    def _argument(self, name: str) -> str:
        return query_texts(self._request).get(name, "")

    async def identify_token(self, token: str) -> Identity:
        """The token's identity. Raises RefusedError."""
        try:
            return await self._gateway.authenticator.admit(token)
        except ApiError as refused:
            raise RefusedError(CloseCode.BAD_TOKEN, refused.detail, "bad_token") from None

    def check_room(self, session_id: str) -> None:
        """Raises RefusedError if the gateway is full by now. A client may still return to a session of this process."""
        if self._gateway.overload.full and self._gateway.residents.current(session_id) is None:
            raise RefusedError(CloseCode.TRY_AGAIN_LATER, "the gateway is overloaded: try again", "overloaded")

    def check_signed_in(self, identity: Identity) -> None:
        """Raises RefusedError if the token was signed out while its handshake waited: the sign-out found no session to close."""
        try:
            self._gateway.authenticator.check_signed_in(identity)
        except ApiError as refused:
            raise RefusedError(CloseCode.BAD_TOKEN, refused.detail, "bad_token") from None

    async def _identify_ticket(self, ticket: str) -> Identity:
        """The ticket's identity. Raises RefusedError, ApiError UNAVAILABLE (503)."""
        try:
            return await self._gateway.authenticator.redeem_ticket(ticket)
        except TokenError as refused:
            raise RefusedError(CloseCode.BAD_TOKEN, refused.detail, "bad_ticket") from None

    def check_sockets(self, identity: Identity, session_id: str) -> None:
        """Raises RefusedError if the user has too many sockets. A socket of `session_id` does not count, as it is about to be replaced.

        Sockets beside a session's own count too, and disconnected sessions, because each holds memory. The oldest of these are ended
        to make room.
        """
        residents = self._gateway.residents
        allowed = self._settings.ws_max_sockets_per_user - residents.beside.get(identity.user_id, 0)
        if residents.count_of_user(identity.user_id) < allowed:
            return  # room for one more, whichever of them are connected: no need to look at each
        asked_for = residents.current(session_id)
        others = [resident for resident in residents.of_user(identity.user_id) if resident is not asked_for]
        open_now = sum(resident.connected and resident.session_id != session_id for resident in others)
        if open_now >= allowed:
            raise RefusedError(
                CloseCode.TOO_MANY_SOCKETS, "this user has reached the limit of sockets", "too_many_sockets"
            )
        waiting = [resident for resident in others if not resident.connected]
        for resident in waiting[: max(0, open_now + len(waiting) + 1 - allowed)]:
            self._gateway.jarvis.give_up(resident)
            self._gateway.openai.give_up(resident)
