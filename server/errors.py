"""HTTP errors: the exception that ends a request, and its problem document (RFC 9457)."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypeVar

from streaming.errors import CATALOGUE
from streaming.ports import ServiceError

if TYPE_CHECKING:
    from streaming.errors import ErrorKind

TYPE_BASE = "/docs#"  # problem types are addresses of the documentation
DEFAULT_RETRY_S = 1.0  # for a service that did not say when to retry


ERRORS: dict[str, ErrorKind] = {code: kind for code, kind in CATALOGUE.items() if kind.status}
"""The codes used in HTTP answers."""

ErrorT = TypeVar("ErrorT", bound=BaseException)


def without_frames(error: ErrorT) -> ErrorT:
    """The error without its traceback. A frame that holds the error it raised is a reference cycle, and so a leak."""
    seen: BaseException | None = error
    while seen is not None:
        seen.__traceback__ = None
        seen = seen.__cause__ or seen.__context__
    return error


class ApiError(Exception):
    """Ends a request with a problem document. `code` is from the catalogue; `extra` adds members to the document.

    `flaw`: pydantic's type of the first of `errors`, if it is known.
    """

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        headers: dict[str, str] | None = None,
        errors: list[dict[str, Any]] | None = None,
        extra: dict[str, Any] | None = None,
        flaw: str = "",
    ) -> None:
        kind = ERRORS[code]
        self.code = code
        self.status = kind.status
        self.detail = detail or kind.title
        self.headers = headers or {}
        self.errors = errors
        self.extra = extra or {}
        self.flaw = flaw
        super().__init__(f"{code}: {self.detail}")


def problem(error: ApiError, instance: str, request_id: str) -> dict[str, Any]:
    """The document: type, title, status, detail, instance, code, request_id, and errors[] for invalid fields."""
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
    """A service's error as an HTTP error, with grpc-gateway's status for its code, and the service's own message.

    503 has a Retry-After (RFC 9110 section 15.6.4), 429 only if the service gave one. If the same request will fail again although
    its code suggests otherwise, the document has `retryable` false, and there is no Retry-After.
    """
    code = error.code if error.code in ERRORS else "INTERNAL"
    headers = {}
    extra = dict(error.details)
    if ERRORS[code].retryable and not error.retryable:
        extra["retryable"] = False
    elif error.retry_after_ms is not None or ERRORS[code].status == 503:
        headers["Retry-After"] = retry_after((error.retry_after_ms or 0) / 1000 or DEFAULT_RETRY_S)
    return ApiError(code, error.said, headers=headers, errors=extra.pop("errors", None), extra=extra)


def to_service_error(error: ApiError) -> ServiceError:
    """The same refusal for a socket: code, message, and the problem document's other members as details."""
    wait_s = error.headers.get("Retry-After")
    details = dict(error.extra) if error.errors is None else {**error.extra, "errors": error.errors}
    final = not details.pop("retryable", True)
    return ServiceError(
        error.code, error.detail, retry_after_ms=int(wait_s) * 1000 if wait_s else None, details=details, final=final
    )


def timed_out() -> ServiceError:
    """A wait of the gateway's own was too long. What it waited for may have happened."""
    return ServiceError("DEADLINE_EXCEEDED", ERRORS["DEADLINE_EXCEEDED"].title)


def retry_after(seconds: float) -> str:
    """The header's value: whole seconds, rounded up, at least one."""
    return str(max(1, math.ceil(seconds)))
