"""The catalogue of WebSocket close codes of jarvis.v1: name, meaning, and whether a client should reconnect.

1000 to 1015 are RFC 6455's (section 7.4.1). Of our own codes, 4000 to 4499 allow a reconnect and 4500 to 4999 do not, so that
clients can decide by the range for codes they do not know.
"""

from __future__ import annotations

from enum import IntEnum
from typing import Self

from streaming import rfc6455


class CloseCode(IntEnum):
    """A close code. `error`: the code of the `error` message sent before the close."""

    meaning: str
    reconnect: bool
    error: str

    def __new__(cls, code: int, meaning: str, reconnect: bool, error: str = "INVALID_FRAME") -> Self:
        """Make a member, which equals its number."""
        member = int.__new__(cls, code)
        member._value_ = code
        member.meaning = meaning
        member.reconnect = reconnect
        member.error = error
        return member

    NORMAL = rfc6455.NORMAL, "The client is done.", False
    GOING_AWAY = rfc6455.GOING_AWAY, "The page or the gateway goes away.", True, "CANCELLED"
    PROTOCOL_ERROR = rfc6455.PROTOCOL_ERROR, "A frame or a number that breaks the protocol.", False
    UNSUPPORTED_DATA = rfc6455.UNSUPPORTED_DATA, "A kind of message that is not taken here.", False
    INVALID_PAYLOAD = (
        rfc6455.INVALID_PAYLOAD,
        "A text message that is no JSON object, or no UTF-8.",
        False,
        "INVALID_JSON",
    )
    POLICY_VIOLATION = rfc6455.POLICY_VIOLATION, "Refused for a reason that has no code of its own.", False
    MESSAGE_TOO_BIG = rfc6455.MESSAGE_TOO_BIG, "A message over the size limit.", False
    INTERNAL_ERROR = rfc6455.INTERNAL_ERROR, "The gateway failed.", True, "INTERNAL"
    SERVICE_RESTART = rfc6455.SERVICE_RESTART, "The gateway restarts: resume elsewhere.", True, "DRAINING"
    TRY_AGAIN_LATER = rfc6455.TRY_AGAIN_LATER, "The gateway is overloaded.", True, "RESOURCE_EXHAUSTED"
    SLOW_CONSUMER = 4002, "The client read too slowly: resume.", True, "SLOW_CONSUMER"
    AUTH_TIMEOUT = 4008, "No authentication in time.", True, "UNAUTHENTICATED"
    TOKEN_EXPIRED = 4009, "The token expired: come back with a new one.", True, "UNAUTHENTICATED"
    TOO_MANY_MESSAGES = 4029, "The client kept on after it was rate limited.", True, "RATE_LIMITED"
    BAD_TOKEN = 4501, "The token is not valid.", False, "UNAUTHENTICATED"
    FORBIDDEN = 4503, "This user may not have this session.", False, "PERMISSION_DENIED"
    TOO_MANY_SOCKETS = 4504, "The user has as many sockets as allowed.", False, "RESOURCE_EXHAUSTED"
    SESSION_TAKEN_OVER = 4510, "Another socket took the session.", False, "SESSION_TAKEN_OVER"


CLOSE_CODES: dict[int, CloseCode] = {code.value: code for code in CloseCode}
