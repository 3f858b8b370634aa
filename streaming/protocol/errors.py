"""Mistakes of this side, mistakes of the other side, the socket's error codes, and the catalogue of close codes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from streaming.errors import CATALOGUE

if TYPE_CHECKING:
    from streaming.errors import ErrorKind


class LocalProtocolError(Exception):
    """This side's own mistake: it asked the core for something the protocol forbids. A bug in the caller."""


class RemoteProtocolError(Exception):
    """The other side broke the framing: the socket has to close with `close_code`; `message` may be shown to it."""

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.message = message


ERROR_CODES: dict[str, ErrorKind] = {code: kind for code, kind in CATALOGUE.items() if kind.on_socket}
"""The codes of the `error` event."""


@dataclass(frozen=True, slots=True)
class CloseCode:
    """Why a WebSocket closes; `reconnect` tells a client whether to come back, and so does the range of `code`."""

    code: int
    name: str
    meaning: str
    reconnect: bool


CLOSE_CODES: dict[int, CloseCode] = {
    entry.code: entry
    for entry in (
        CloseCode(1000, "NORMAL", "The client is done.", reconnect=False),
        CloseCode(1001, "GOING_AWAY", "The page or the gateway goes away.", reconnect=True),
        CloseCode(1002, "PROTOCOL_ERROR", "A frame or a number that breaks the protocol.", reconnect=False),
        CloseCode(1003, "UNSUPPORTED_DATA", "A kind of message that is not taken here.", reconnect=False),
        CloseCode(1007, "INVALID_PAYLOAD", "A text message that is no JSON object, or no UTF-8.", reconnect=False),
        CloseCode(1008, "POLICY_VIOLATION", "Refused for a reason that has no code of its own.", reconnect=False),
        CloseCode(1009, "MESSAGE_TOO_BIG", "A message over the size limit.", reconnect=False),
        CloseCode(1011, "INTERNAL_ERROR", "The gateway failed.", reconnect=True),
        CloseCode(1012, "SERVICE_RESTART", "The gateway restarts: resume elsewhere.", reconnect=True),
        CloseCode(1013, "TRY_AGAIN_LATER", "The gateway is overloaded.", reconnect=True),
        CloseCode(4002, "SLOW_CONSUMER", "The client read too slowly: resume.", reconnect=True),
        CloseCode(4008, "AUTH_TIMEOUT", "No authentication in time.", reconnect=True),
        CloseCode(4009, "TOKEN_EXPIRED", "The token expired: come back with a new one.", reconnect=True),
        CloseCode(4029, "TOO_MANY_MESSAGES", "The client kept on after it was rate limited.", reconnect=True),
        CloseCode(4501, "BAD_TOKEN", "The token is not valid.", reconnect=False),
        CloseCode(4503, "FORBIDDEN", "This user may not have this session.", reconnect=False),
        CloseCode(4504, "TOO_MANY_SOCKETS", "The user has as many sockets as allowed.", reconnect=False),
        CloseCode(4510, "SESSION_TAKEN_OVER", "Another socket took the session.", reconnect=False),
    )
}
