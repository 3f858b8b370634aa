"""The catalogue of all error codes that a client may get, over HTTP and on the socket.

`server.errors` selects the codes with an HTTP status, `streaming.protocol.errors` those of the socket's `error` event.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One code. `status` and `title` are those of the problem document; status 0: the code is never sent over HTTP."""

    status: int
    title: str
    meaning: str
    retryable: bool = False  # True: the same request may succeed later
    on_socket: bool = True  # True: an `error` event may carry it


def _http(status: int, title: str, meaning: str, *, retryable: bool = False) -> ErrorKind:
    """A code used over HTTP only."""
    return ErrorKind(status, title, meaning, retryable, on_socket=False)


def _socket(meaning: str, *, retryable: bool = False) -> ErrorKind:
    """A code used on the socket only."""
    return ErrorKind(0, "", meaning, retryable)


CATALOGUE: dict[str, ErrorKind] = {
    # --- the request ---
    "BAD_REQUEST": _http(
        400, "The request cannot be read", "The request breaks HTTP or its form: `detail` says where."
    ),
    "MALFORMED_JSON": _http(
        400, "The body is not one JSON value", "The body is not one JSON value as RFC 8259 and RFC 7493 have it."
    ),
    "INVALID_ARGUMENT": ErrorKind(
        400, "A service refused a value", "A service refused a value; sending the same again will not help."
    ),
    "FAILED_PRECONDITION": ErrorKind(
        400, "A service is not in the state for this", "A service has to be brought into another state first."
    ),
    "OUT_OF_RANGE": ErrorKind(400, "A value is out of range", "A value lies beyond what the service has."),
    "UNAUTHENTICATED": ErrorKind(401, "There is no token", "Send an access token as `Authorization: Bearer …`."),
    "TOKEN_INVALID": ErrorKind(401, "The token is not valid", "The token is not ours, or is broken: sign in."),
    "TOKEN_EXPIRED": ErrorKind(401, "The token has expired", "The token has expired: refresh it."),
    "TOKEN_REVOKED": ErrorKind(401, "The token was signed out", "The token was signed out: sign in."),
    "BAD_CREDENTIALS": _http(
        401, "User name or password is wrong", "The same answer for an unknown name and a wrong password."
    ),
    "FORBIDDEN": ErrorKind(
        403, "The role does not allow this", "The token's roles do not reach: another user's token would."
    ),
    "PERMISSION_DENIED": ErrorKind(403, "A service refused the user", "A service, or the session, refused the user."),
    "SAFETY_DENIED": ErrorKind(
        403, "Safety forbids this", "The safety policies forbid this action; `detail` holds their reasons."
    ),
    "NOT_FOUND": ErrorKind(404, "There is no such thing", "There is no such thing, or not for this user."),
    "UNKNOWN_OPERATION": ErrorKind(404, "There is no such operation", "No operation has that name."),
    "METHOD_NOT_ALLOWED": _http(405, "The method is not allowed here", "`Allow` lists the methods of this path."),
    "NOT_ACCEPTABLE": _http(406, "No acceptable form of the answer", "`Accept` admits nothing that is answered here."),
    "REQUEST_TIMEOUT": _http(408, "The request did not come in time", "The request was not complete in time."),
    "CONFIRMATION_REQUIRED": ErrorKind(
        409, "It has to be approved first", "Approve or refuse it by its `confirmation_id`, until `expires_at`."
    ),
    "ACTION_CHANGED": ErrorKind(
        409, "The approval is for another action", "Look at what is asked now, and approve that by its `action_hash`."
    ),
    "IDEMPOTENCY_IN_PROGRESS": _http(
        409,
        "The first request with this key still runs",
        "Ask again in a moment for the first request's answer.",
        retryable=True,
    ),
    "ALREADY_ANSWERED": ErrorKind(
        409,
        "It ran, and its answer is not kept",
        "The command of that id, or the request of that `Idempotency-Key`, ran, and its answer is no longer kept.",
    ),
    "ALREADY_EXISTS": ErrorKind(409, "It exists already", "It exists already."),
    "ABORTED": ErrorKind(
        409, "Something else was faster", "Something else was faster: try again from the start.", retryable=True
    ),
    "BODY_TOO_LARGE": _http(413, "The body is too large", "The body is larger than this operation takes."),
    "AUDIO_TOO_LONG": _http(413, "The audio is too long", "The audio lasts longer than is transcribed in one request."),
    "URI_TOO_LONG": _http(414, "The address is too long", "The address is longer than is read."),
    "UNSUPPORTED_MEDIA_TYPE": _http(
        415, "The content type is not read here", "This operation reads another content type."
    ),
    "VALIDATION_ERROR": ErrorKind(
        422, "A parameter is missing, unknown or wrong", "`errors` says which parameter is missing, unknown or wrong."
    ),
    "UNREADABLE_AUDIO": _http(
        422, "The file is no audio that can be read", "The file is damaged, or of a format that is not taken."
    ),
    "IDEMPOTENCY_KEY_REUSED": _http(
        422, "The key came with another request before", "One key stands for one request: make a new one."
    ),
    "UPGRADE_REQUIRED": _http(
        426, "Another version of WebSocket", "`Sec-WebSocket-Version` says which version (RFC 6455) is spoken here."
    ),
    "RATE_LIMITED": ErrorKind(
        429, "Too many requests", "Wait for `Retry-After` seconds, or `retry_after_ms` on the socket.", retryable=True
    ),
    "RESOURCE_EXHAUSTED": ErrorKind(
        429,
        "The service has no room just now",
        "The service has no room just now: wait for `Retry-After`.",
        retryable=True,
    ),
    "HEADERS_TOO_LARGE": _http(431, "The headers are too large", "The headers are larger than is read."),
    "CANCELLED": ErrorKind(499, "It was cancelled", "The caller went away, or told the service to stop."),
    # --- the gateway and its services ---
    "INTERNAL": ErrorKind(500, "Something went wrong here", "The gateway or a service failed; quote the `request_id`."),
    "UNKNOWN": ErrorKind(500, "A service failed", "A service failed and did not say how."),
    "DATA_LOSS": ErrorKind(500, "A service lost data", "A service lost data it should have."),
    "UNIMPLEMENTED": ErrorKind(501, "The service cannot do this", "This is not offered here."),
    "UNAVAILABLE": ErrorKind(
        503,
        "A service cannot be reached",
        "The service cannot be reached: try again after `Retry-After`.",
        retryable=True,
    ),
    "CIRCUIT_OPEN": ErrorKind(
        503,
        "A service has failed too often just now",
        "The service is left alone for a moment: wait for `Retry-After`.",
        retryable=True,
    ),
    "OVERLOADED": _http(
        503,
        "The gateway has too much to do",
        "No new socket is let in for a moment; come back after `Retry-After`.",
        retryable=True,
    ),
    "DRAINING": ErrorKind(503, "The gateway is being stopped", "Reconnect: another replica answers.", retryable=True),
    "DEADLINE_EXCEEDED": ErrorKind(
        504, "A service did not answer in time", "The service did not answer in time.", retryable=True
    ),
    # --- the socket: the message itself ---
    "INVALID_JSON": _socket("The text is no JSON object, or outside of I-JSON (RFC 7493), or nested too deeply."),
    "UNKNOWN_TYPE": _socket("There is no command of that type."),
    "INVALID_FIELD": _socket("A field is missing, unknown, of the wrong type or out of its range."),
    "INVALID_FRAME": _socket(
        "A frame holds something that this channel can't have, or it breaks the protocol or a limit, which closes the socket."
    ),
    # --- the socket: the state it met ---
    "WRONG_STATE": _socket("The command is known but has no place here and now."),
    "UNKNOWN_CHANNEL": _socket("That channel was never opened."),
    "CHANNEL_IN_USE": _socket("That channel number was used before in this epoch."),
    "ID_REUSED": _socket("That id was used before for another command."),
    "FRAMES_MISSING": _socket("Frame numbers jumped although no loss was declared."),
    # --- the socket: bounds ---
    "TOO_MANY_CHANNELS": _socket("As many channels are open as one session may have.", retryable=True),
    "TOO_MANY_CALLS": _socket("As many calls run as one session may have; wait for an answer.", retryable=True),
    "FLOW_CONTROL": _socket("More audio was sent than credit had been given for."),
    "AUDIO_RATE_LIMITED": _socket("More audio per second than any microphone makes."),
    "TEXT_TOO_LONG": _socket("The text is longer than one utterance may be."),
    "TOO_MANY_TURNS": _socket("Too many utterances wait for their turn.", retryable=True),
    # --- the socket: the session and its work ---
    "SESSION_TAKEN_OVER": _socket("Another socket took this session."),
    "SLOW_CONSUMER": _socket("The client reads too slowly; reconnect and resume.", retryable=True),
    "INVALID_AUDIO": _socket("The audio is not what the channel was opened for."),
    "NOT_APPROVED": _socket("The user did not approve the action in time."),
}


# Never retryable, although ABORTED is: whoever asks again without the same id may cause a second effect.
OUTCOME_UNKNOWN = "the replica that ran it is gone: whether it took effect is not known"


def is_retryable(code: str) -> bool:
    """True if the same request may succeed later; False for an unknown code."""
    kind = CATALOGUE.get(code)
    return kind is not None and kind.retryable
