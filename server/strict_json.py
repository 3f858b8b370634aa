"""JSON bodies read strictly: what every JSON reader understands alike (RFC 8259, RFC 7493), and nothing that breaks one later.

Python's own parser takes NaN and 1e400 (and sends them back as invalid JSON), keeps the last of two equal names, lets half a
surrogate pair through, and ends with RecursionError on deep nesting.
"""

from __future__ import annotations

import json
import math
from typing import Any, NoReturn

from server.errors import ApiError

MAX_DEPTH = 32  # parameters of real operations have five levels
MAX_INTEGER = 2**53 - 1  # RFC 7493 section 2.2: beyond it JavaScript and protobuf's Struct round
MAX_INTEGER_DIGITS = len(str(MAX_INTEGER))  # looked at first: converting takes the square of the digits


class _FlawError(Exception):
    """What is wrong, in words for the client."""


def _constant(name: str) -> NoReturn:
    raise _FlawError(f"{name} is no JSON number")


def _integer(digits: str) -> int:
    if len(digits) > MAX_INTEGER_DIGITS + 1 or abs(int(digits)) > MAX_INTEGER:
        raise _FlawError("an integer is beyond 2^53 - 1")
    return int(digits)


def _float(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        raise _FlawError("a number is beyond double precision")
    return number


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        raise _FlawError("a name occurs twice in one object")
    return members


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float)


def _depth(value: object) -> int:
    """Levels of arrays and objects, without recursion."""
    level, depth = [value], 0
    while level := [item for item in level if isinstance(item, dict | list)]:
        depth += 1
        level = [child for item in level for child in (item.values() if isinstance(item, dict) else item)]
    return depth


def _checked(text: str, max_depth: int) -> Any:
    value = _DECODER.decode(text)
    # most bodies have fewer brackets than levels are allowed: no need to look
    if text.count("{") + text.count("[") > max_depth and _depth(value) > max_depth:
        raise _FlawError(f"the nesting is deeper than {max_depth} levels")
    if "\\u" in text:
        json.dumps(value, ensure_ascii=False).encode()  # half a surrogate pair can only be written as an escape
    return value


def loads(body: bytes | str, max_depth: int = MAX_DEPTH) -> Any:
    """The one JSON value of a body. Raises ApiError MALFORMED_JSON with what is wrong, and where a parser can say it."""
    try:
        return _checked(body if isinstance(body, str) else body.decode(), max_depth)
    except _FlawError as flaw:
        detail = str(flaw)
    except RecursionError:
        detail = f"the nesting is deeper than {max_depth} levels"
    except UnicodeDecodeError as error:
        detail = f"the body is not UTF-8 at byte {error.start}"
    except UnicodeEncodeError:
        detail = "a string holds half of a surrogate pair"
    except json.JSONDecodeError as error:
        detail = f"{error.msg} at line {error.lineno} column {error.colno}"
    raise ApiError("MALFORMED_JSON", detail)
