"""Problem documents: turns any exception into the error form (RFC 9457)."""

from __future__ import annotations

import asyncio

from pydantic_core import to_json
from tornado.web import HTTPError

from server.errors import ApiError, from_service, problem
from streaming.ports import ServiceError

_OF_STATUS = {
    400: "BAD_REQUEST",
    401: "UNAUTHENTICATED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    413: "BODY_TOO_LARGE",
    429: "RATE_LIMITED",
    503: "DRAINING",
}


def as_api_error(error: BaseException) -> ApiError:
    """The error to send to the client. An unexpected one becomes INTERNAL, without details."""
    if isinstance(error, ApiError):
        return error
    if isinstance(error, ServiceError):
        return from_service(error)
    if isinstance(error, HTTPError):
        return ApiError(_OF_STATUS.get(error.status_code, "BAD_REQUEST" if error.status_code < 500 else "INTERNAL"))
    if isinstance(error, TimeoutError):
        return ApiError("DEADLINE_EXCEEDED")
    if isinstance(error, asyncio.CancelledError):
        return ApiError("CANCELLED")
    return ApiError("INTERNAL")


def problem_json(error: ApiError, path: str, request_id: str) -> bytes:
    """The problem document as JSON."""
    return to_json(problem(error, path, request_id), inf_nan_mode="null")
