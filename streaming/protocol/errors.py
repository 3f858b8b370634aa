"""Mistakes of this side, mistakes of the other side, and the catalogues of error codes and close codes."""

from __future__ import annotations

from dataclasses import dataclass


class LocalProtocolError(Exception):
    """This side's own mistake: it asked the core for something the protocol forbids. A bug in the caller."""


class RemoteProtocolError(Exception):
    """The other side broke the framing: the socket has to close with `close_code`; `message` may be shown to it."""

    def __init__(self, close_code: int, message: str) -> None:
        super().__init__(message)
        self.close_code = close_code
        self.message = message


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What an error code means, and whether the same command may succeed when it is sent again later."""

    meaning: str
    retryable: bool = False


ERROR_CODES: dict[str, ErrorKind] = {
    # the message itself
    "INVALID_JSON": ErrorKind("The text is JSON outside of I-JSON (RFC 7493) or nested too deeply."),
    "UNKNOWN_TYPE": ErrorKind("There is no command of that type."),
    "INVALID_FIELD": ErrorKind("A field is missing, unknown, of the wrong type or out of its range."),
    "INVALID_FRAME": ErrorKind("A binary frame holds something that this channel can't have."),
    # the state it met
    "WRONG_STATE": ErrorKind("The command is known but has no place here and now."),
    "UNKNOWN_CHANNEL": ErrorKind("That channel was never opened."),
    "CHANNEL_IN_USE": ErrorKind("That channel number was used before in this epoch."),
    "ID_REUSED": ErrorKind("That id was used before for another command."),
    "ALREADY_ANSWERED": ErrorKind("The command of that id ran, and its answer is no longer kept."),
    "FRAMES_MISSING": ErrorKind("Frame numbers jumped although no loss was declared."),
    # bounds
    "TOO_MANY_CHANNELS": ErrorKind("As many channels are open as one session may have.", retryable=True),
    "FLOW_CONTROL": ErrorKind("More audio was sent than credit had been given for."),
    "RATE_LIMITED": ErrorKind("Too many commands in too short a time.", retryable=True),
    "AUDIO_RATE_LIMITED": ErrorKind("More audio per second than any microphone makes."),
    "TEXT_TOO_LONG": ErrorKind("The text is longer than one utterance may be."),
    "TOO_MANY_TURNS": ErrorKind("Too many utterances wait for their turn.", retryable=True),
    # the session and its user
    "SESSION_TAKEN_OVER": ErrorKind("Another socket took this session."),
    "UNAUTHENTICATED": ErrorKind("The token is missing, wrong or expired."),
    "PERMISSION_DENIED": ErrorKind("The user's role does not allow this."),
    "SLOW_CONSUMER": ErrorKind("The client reads too slowly; reconnect and resume.", retryable=True),
    "DRAINING": ErrorKind("This gateway is being stopped; reconnect and resume.", retryable=True),
    # the work
    "INVALID_AUDIO": ErrorKind("The audio is not what the channel was opened for."),
    "SAFETY_DENIED": ErrorKind("The safety service refuses the action."),
    "NOT_APPROVED": ErrorKind("The user did not approve the action in time."),
    "INVALID_ARGUMENT": ErrorKind("A service refuses the parameters."),
    "NOT_FOUND": ErrorKind("There is no such thing, or not for this user."),
    "ALREADY_EXISTS": ErrorKind("It exists already."),
    "FAILED_PRECONDITION": ErrorKind("A service is not in the state for this."),
    "ABORTED": ErrorKind("A service gave up because of a conflict.", retryable=True),
    "CANCELLED": ErrorKind("It was cancelled."),
    "DEADLINE_EXCEEDED": ErrorKind("A service did not answer in time.", retryable=True),
    "RESOURCE_EXHAUSTED": ErrorKind("A service is out of capacity.", retryable=True),
    "UNAVAILABLE": ErrorKind("A service can't be reached.", retryable=True),
    "CIRCUIT_OPEN": ErrorKind("A service failed so often that it is left alone for a moment.", retryable=True),
    "UNIMPLEMENTED": ErrorKind("A service does not offer this."),
    "INTERNAL": ErrorKind("Something went wrong in the gateway or a service."),
}


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
