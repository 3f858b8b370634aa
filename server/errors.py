"""Everything that can go wrong towards a client: the catalogue of codes, and the one error form (RFC 9457)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streaming.ports import ServiceError

TYPE_BASE = "/docs#"  # problem types are addresses of the documentation
DEFAULT_RETRY_S = 1.0  # for a service that is away and did not say for how long


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """One code: its HTTP status, what it says in general, and what a client should know or do."""

    status: int
    title: str
    meaning: str


ERRORS: dict[str, ErrorKind] = {
    # the request
    "BAD_REQUEST": ErrorKind(
        400, "The request cannot be read", "The request breaks HTTP or its form: `detail` says where."
    ),
    "MALFORMED_JSON": ErrorKind(
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
    "BAD_CREDENTIALS": ErrorKind(
        401, "User name or password is wrong", "The same answer for an unknown name and a wrong password."
    ),
    "FORBIDDEN": ErrorKind(
        403, "The role does not allow this", "The token's roles do not reach: another user's token would."
    ),
    "PERMISSION_DENIED": ErrorKind(403, "A service refused the user", "A service refused the user."),
    "SAFETY_DENIED": ErrorKind(
        403, "Safety forbids this", "The safety policies forbid this action; `detail` holds their reasons."
    ),
    "NOT_FOUND": ErrorKind(404, "There is no such thing", "There is no such thing, or not for this user."),
    "UNKNOWN_OPERATION": ErrorKind(404, "There is no such operation", "No operation has that name."),
    "METHOD_NOT_ALLOWED": ErrorKind(405, "The method is not allowed here", "`Allow` lists the methods of this path."),
    "NOT_ACCEPTABLE": ErrorKind(
        406, "No acceptable form of the answer", "`Accept` admits nothing that is answered here."
    ),
    "REQUEST_TIMEOUT": ErrorKind(408, "The request did not come in time", "The request was not complete in time."),
    "CONFIRMATION_REQUIRED": ErrorKind(
        409, "It has to be approved first", "Approve or refuse it by its `confirmation_id`, until `expires_at`."
    ),
    "IDEMPOTENCY_IN_PROGRESS": ErrorKind(
        409, "The first request with this key still runs", "Ask again in a moment for the first request's answer."
    ),
    "ALREADY_EXISTS": ErrorKind(409, "It exists already", "It exists already."),
    "ABORTED": ErrorKind(409, "Something else was faster", "Something else was faster: try again from the start."),
    "BODY_TOO_LARGE": ErrorKind(413, "The body is too large", "The body is larger than this operation takes."),
    "AUDIO_TOO_LONG": ErrorKind(
        413, "The audio is too long", "The audio lasts longer than is transcribed in one request."
    ),
    "URI_TOO_LONG": ErrorKind(414, "The address is too long", "The address is longer than is read."),
    "UNSUPPORTED_MEDIA_TYPE": ErrorKind(
        415, "The content type is not read here", "This operation reads another content type."
    ),
    "VALIDATION_ERROR": ErrorKind(
        422, "A parameter is missing, unknown or wrong", "`errors` says which parameter is missing, unknown or wrong."
    ),
    "UNREADABLE_AUDIO": ErrorKind(
        422, "The file is no audio that can be read", "The file is damaged, or of a format that is not taken."
    ),
    "IDEMPOTENCY_KEY_REUSED": ErrorKind(
        422, "The key came with another request before", "One key stands for one request: make a new one."
    ),
    "UPGRADE_REQUIRED": ErrorKind(
        426, "Another version of WebSocket", "`Sec-WebSocket-Version` says which version (RFC 6455) is spoken here."
    ),
    "RATE_LIMITED": ErrorKind(429, "Too many requests", "Wait for `Retry-After` seconds."),
    "RESOURCE_EXHAUSTED": ErrorKind(
        429, "The service has no room just now", "The service has no room just now: wait for `Retry-After`."
    ),
    "HEADERS_TOO_LARGE": ErrorKind(431, "The headers are too large", "The headers are larger than is read."),
    "CANCELLED": ErrorKind(499, "It was cancelled", "The caller went away, or told the service to stop."),
    # our side
    "INTERNAL": ErrorKind(500, "Something went wrong here", "The gateway or a service failed; quote the `request_id`."),
    "UNKNOWN": ErrorKind(500, "A service failed", "A service failed and did not say how."),
    "DATA_LOSS": ErrorKind(500, "A service lost data", "A service lost data it should have."),
    "UNIMPLEMENTED": ErrorKind(501, "The service cannot do this", "This is not offered here."),
    "UNAVAILABLE": ErrorKind(
        503, "A service cannot be reached", "The service cannot be reached: try again after `Retry-After`."
    ),
    "CIRCUIT_OPEN": ErrorKind(
        503,
        "A service has failed too often just now",
        "The service is left alone for a moment: wait for `Retry-After`.",
    ),
    "DRAINING": ErrorKind(503, "The gateway is being stopped", "Reconnect: another replica answers."),
    "DEADLINE_EXCEEDED": ErrorKind(504, "A service did not answer in time", "The service did not answer in time."),
}


class ApiError(Exception):
    """Ends a request with a problem document. `code` is from the catalogue; `extra` adds members to the document."""

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
        extra: dict[str, Any] | None = None,
    ) -> None:
        kind = ERRORS[code]
        self.code = code
        self.status = kind.status
        self.detail = detail or kind.title
        self.headers = headers or {}
        self.errors = errors
        self.extra = extra or {}
        super().__init__(f"{code}: {self.detail}")


def problem(error: ApiError, instance: str, request_id: str) -> dict[str, Any]:
    """The document: type, title, status, detail, instance, code, request_id, and errors[] where fields were wrong."""
    document: dict[str, Any] = {
        "type": f"{TYPE_BASE}{error.code}",
        "title": ERRORS[error.code].title,
        "status": error.status,
        "detail": error.detail,
        "instance": instance,
        "code": error.code,
        "request_id": request_id,
        **error.extra,
    }
    if error.errors is not None:
        document["errors"] = error.errors
    return document


def from_service(error: ServiceError) -> ApiError:
    """A service's codes as grpc-gateway maps them to HTTP; a service's own words are passed on, never a stack trace.

    503 always says when to come back (RFC 9110 section 15.6.4); 429 does when the service told.
    """
    code = error.code if error.code in ERRORS else "INTERNAL"
    headers = {}
    if error.retry_after_ms is not None or ERRORS[code].status == 503:
        headers["Retry-After"] = retry_after((error.retry_after_ms or 0) / 1000 or DEFAULT_RETRY_S)
    return ApiError(code, f"{error.service}: {error.message}", headers=headers)


def retry_after(seconds: float) -> str:
    """The header's value: whole seconds, never too early, at least one."""
    return str(max(1, math.ceil(seconds)))
