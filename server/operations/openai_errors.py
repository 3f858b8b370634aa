"""Errors in the form that OpenAI's clients expect: the status selects the exception's class, `code` is for programs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

if TYPE_CHECKING:
    from server.errors import ApiError

_TYPES = {
    403: "permission_error",
    409: "conflict_error",
    429: "rate_limit_error",
}
_CODES = {
    "UNAUTHENTICATED": "invalid_api_key",
    "TOKEN_INVALID": "invalid_api_key",
    "TOKEN_REVOKED": "invalid_api_key",
    "RATE_LIMITED": "rate_limit_exceeded",
}


_FLAWS = {"missing": "missing_required_parameter", "extra_forbidden": "unknown_parameter"}


def is_openai(path: str) -> bool:
    """True if errors at this path are told in OpenAI's form."""
    return path == "/v1" or path.startswith("/v1/")


def status_of(error: ApiError) -> int:
    """The HTTP status: invalid values are 400 in that API, not 422."""
    return 400 if error.status == 422 else error.status


def error_of(error: ApiError) -> dict[str, Any]:
    """`{"error": {message, type, code, param}}`."""
    kind = _TYPES.get(error.status, "invalid_request_error" if error.status < 500 else "server_error")
    message, param = error.detail, error.extra.get("param")
    if error.errors:
        param = param or _param(error.errors[0]["pointer"])
        message = "; ".join(f"{_param(wrong['pointer']) or 'body'}: {wrong['detail']}" for wrong in error.errors)
        code = _FLAWS.get(error.flaw) or ("invalid_type" if error.flaw.endswith("_type") else "invalid_value")
    else:
        code = error.extra.get("code") or _CODES.get(error.code, error.code.lower())
    return {"error": {"message": message, "type": kind, "code": code, "param": param}}


def _param(pointer: str) -> str | None:
    """`#/a/0/b` as `a[0].b`."""
    parts = pointer.removeprefix("#/").removeprefix("body/").split("/")
    return "".join(f"[{part}]" if part.isdigit() else f".{part}" for part in parts).removeprefix(".") or None


def error_json(error: ApiError) -> bytes:
    """`error_of` as JSON."""
    return to_json(error_of(error))
