"""What a client did wrong, in the API's own form."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeGuard

if TYPE_CHECKING:
    from collections.abc import Collection


class MistakeError(Exception):
    """Answered with an `error` event; the socket lives. `param` is the path of the field, empty when it is none."""

    def __init__(self, code: str, message: str, param: str = "", *, kind: str = "invalid_request_error") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.param = param
        self.kind = kind


def error_event(mistake: MistakeError, client_event_id: str = "") -> dict[str, Any]:
    """The event. Optional strings are left out rather than null: JavaScript clients refuse null."""
    error = {"type": mistake.kind, "code": mistake.code, "message": mistake.message}
    if mistake.param:
        error["param"] = mistake.param
    if client_event_id:
        error["event_id"] = client_event_id
    return {"type": "error", "error": error}


def wrong(param: str, message: str) -> MistakeError:
    """A field holds a value that is not taken."""
    return MistakeError("invalid_value", message, param)


def missing(param: str) -> MistakeError:
    """A field that has to be there is not."""
    return MistakeError("missing_required_parameter", f"Missing required parameter: '{param}'.", param)


def one_of(given: Any, known: Collection[str]) -> TypeGuard[str]:
    """Is it one of these words? A client may send anything: a list is no key of a dict."""
    return isinstance(given, str) and given in known
