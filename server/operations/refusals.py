"""The errors that an operation can answer with: those that follow from its shape, and those it adds itself."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.errors import ERRORS
from server.operations.operation import Access

if TYPE_CHECKING:
    from collections.abc import Iterator

    from server.operations.operation import Operation

_ALWAYS = ("BAD_REQUEST", "NOT_ACCEPTABLE", "VALIDATION_ERROR", "URI_TOO_LONG", "INTERNAL")
_SIGNED_IN = ("UNAUTHENTICATED", "TOKEN_INVALID", "TOKEN_EXPIRED", "TOKEN_REVOKED")
_BODY = ("MALFORMED_JSON", "BODY_TOO_LARGE", "UNSUPPORTED_MEDIA_TYPE")
_SERVICE = (
    "INVALID_ARGUMENT",
    "FAILED_PRECONDITION",
    "OUT_OF_RANGE",
    "PERMISSION_DENIED",
    "NOT_FOUND",
    "ALREADY_EXISTS",
    "ABORTED",
    "RESOURCE_EXHAUSTED",
    "CANCELLED",
    "UNKNOWN",
    "DATA_LOSS",
    "UNIMPLEMENTED",
    "UNAVAILABLE",
    "CIRCUIT_OPEN",
    "DEADLINE_EXCEEDED",
)
_IDEMPOTENT = ("IDEMPOTENCY_IN_PROGRESS", "IDEMPOTENCY_KEY_REUSED", "ALREADY_ANSWERED", "ABORTED")


def refusals_of(operation: Operation) -> dict[int, list[str]]:
    """The error codes, by HTTP status."""
    by_status: dict[int, list[str]] = {}
    for code in dict.fromkeys(_codes(operation)):
        by_status.setdefault(ERRORS[code].status, []).append(code)
    return dict(sorted(by_status.items()))


def _codes(operation: Operation) -> Iterator[str]:
    yield from operation.refusals
    yield from _ALWAYS
    if operation.access is not Access.PUBLIC:
        yield from _SIGNED_IN
    if operation.access.role is not None:
        yield "FORBIDDEN"
    if operation.cost:
        yield "RATE_LIMITED"
    if operation.takes_body:
        yield from _BODY
    if operation.service:
        yield from _SERVICE
    if operation.idempotency_key:
        yield from _IDEMPOTENT
