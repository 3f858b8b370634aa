"""Client input to a request model, or to a 422 that names each invalid field."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from server.errors import ApiError
from streaming.flaws import MOST_FLAWS, MOST_NAMES, flaws_of, has_too_many_names, path_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pydantic_core import ErrorDetails

    from server.operations.operation import Operation, RequestModel

MAX_ERRORS = 20  # errors listed for one body
MAX_NAME_CHARS = 64  # of an unknown field, echoed

_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")


def pointer(path: Sequence[object]) -> str:
    """An RFC 6901 pointer as a URI fragment, as in RFC 9457's own example."""
    return "#" + "".join(
        "/" + str(part)[:MAX_NAME_CHARS].replace("~", "~0").replace("/", "~1").encode("utf-8", "replace").decode()
        for part in path
    )


def invalid(*wrong: tuple[Sequence[object], str], flaw: str = "") -> ApiError:
    """The error for invalid fields (422): the path of each, and what is wrong with it. `flaw`: pydantic's type of the first."""
    errors = [{"pointer": pointer(path), "detail": detail} for path, detail in wrong]
    return ApiError("VALIDATION_ERROR", errors[0]["detail"] if len(errors) == 1 else "", errors=errors, flaw=flaw)


def validated(operation: Operation, values: Any) -> RequestModel:
    """The request model of a JSON value. Raises ApiError (422)."""
    if has_too_many_names(values):
        raise invalid(((), f"there are more than {MOST_NAMES} fields"), flaw="extra_forbidden")
    try:
        return operation.request.model_validate(values)
    except ValidationError as wrong:
        found = flaws_of(wrong)
        if not found:
            raise invalid(((), f"there are more than {MOST_FLAWS} flaws"), flaw="many") from None
        raise invalid(
            *((_path(error, values), error["msg"].removeprefix("Value error, ")) for error in found[:MAX_ERRORS]),
            flaw=found[0]["type"],
        ) from None


def _path(error: ErrorDetails, values: Any) -> tuple[str | int, ...]:
    return path_of(error["loc"], values, absent=error["type"] == "missing")


@cache
def _whole_numbers(model: type[RequestModel]) -> frozenset[str]:
    """Names of the integer fields. In a URL everything is text."""
    properties = model.model_json_schema().get("properties", {})
    return frozenset(name for name, schema in properties.items() if schema.get("type") == "integer")


def from_text(operation: Operation, values: Mapping[str, str]) -> dict[str, Any]:
    """Path and query parameters, with integers converted."""
    numbers = _whole_numbers(operation.request)
    return {
        name: int(text) if name in numbers and _WHOLE_NUMBER.fullmatch(text) else text for name, text in values.items()
    }
