"""A client's mistakes, in the API's form."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Collection

log = logging.getLogger(__name__)

_TOO_LONG = {
    "string": "string_above_max_length",
    "array": "array_above_max_length",
    "object": "object_above_max_properties",
}
_UNITS = {"string": "characters", "array": "elements", "object": "properties"}


_KINDS = {
    "INVALID_ARGUMENT": "invalid_request_error",
    "RATE_LIMITED": "rate_limit_error",
}  # others are not the client's


def failed_with(code: str, message: str) -> dict[str, str]:
    """The `error` of what failed with a code of the gateway or of a service."""
    word = "rate_limit_exceeded" if code == "RATE_LIMITED" else code.lower()
    return {"type": _KINDS.get(code, "server_error"), "code": word, "message": message}


class MistakeError(Exception):
    """Answered with an `error` event; the socket stays open. `param`: path of the field, empty if it is about none."""

    def __init__(self, code: str, message: str, param: str = "", *, kind: str = "invalid_request_error") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind


def error_event(mistake: MistakeError, client_event_id: str = "") -> dict[str, Any]:
    """The `error` event. Optional strings are omitted rather than null, which JavaScript clients refuse."""
    error = {"type": mistake.kind, "code": mistake.code, "message": mistake.message}
    if mistake.param:
        error["param"] = mistake.param
    if client_event_id:
        error["event_id"] = client_event_id
    return {"type": "error", "error": error}


def failure_event(error: Exception, client_event_id: str) -> dict[str, Any]:
    """The `error` event for what a client event led to. An unforeseen exception is logged, and told without its words."""
    if isinstance(error, MistakeError):
        return error_event(error, client_event_id)
    log.error("an event could not be handled", exc_info=error)  # without the event, which contains users' words
    unforeseen = MistakeError("internal_error", "something went wrong in the gateway", kind="server_error")
    return error_event(unforeseen, client_event_id)


def wrong(param: str, message: str) -> MistakeError:
    """The error for an invalid value."""
    return MistakeError("invalid_value", message, param)


def beyond(param: str, limit: float, *, below: bool) -> MistakeError:
    """The error for a number below a minimum or above a maximum, whose type tells integers from decimals."""
    kind, sign = ("minimum", ">=") if below else ("maximum", "<=")
    number, where = "decimal" if isinstance(limit, float) else "integer", "below" if below else "above"
    message = f"Invalid '{param}': {number} {where} {kind} value. Expected a value {sign} {limit}."
    return MistakeError(f"{number}_{where}_{kind[:3]}_value", message, param)


def too_long(param: str, what: str, limit: int) -> MistakeError:
    """The error for a string, an array or an object that is too long."""
    message = f"Invalid '{param}': {what} too long. Expected at most {limit} {_UNITS[what]}."
    return MistakeError(_TOO_LONG[what], message, param)


def missing(param: str) -> MistakeError:
    """The error for a missing field."""
    return MistakeError("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def one_of(given: Any, known: Collection[str]) -> TypeGuard[str]:
    """True if it is one of these words. A client may send anything, and a list cannot be a dict's key."""
    return isinstance(given, str) and given in known
