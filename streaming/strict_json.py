"""JSON as restricted by RFC 7493 (I-JSON): only what every language reads alike, and nothing that breaks one later.

Python's own parser accepts NaN and 1e400 (and writes them back as invalid JSON), keeps the last of two equal names, accepts
lone surrogates, and raises RecursionError on deep nesting.
"""

from __future__ import annotations

import json
import math
import re
from itertools import chain
from typing import Any, NoReturn

from pydantic_core import from_json

MAX_SAFE_INTEGER = 2**53 - 1  # RFC 7493 section 2.2: larger integers lose digits in JavaScript and elsewhere
# 256 KiB of empty lists took 150 ms to read. So many values take about half a millisecond.
MAX_VALUES = 10_000
COUNTED_CHARS = 64 * 1024
# Of a longer text with so few strings, only what stands outside of them is counted: most of it is in them.
SHORT_CHARS = 4 * 1024
FEW_STRINGS = 128
_HALF_OF_A_PAIR = re.compile("[\ud800-\udfff]")
_FEW_DIGITS = len(str(MAX_SAFE_INTEGER)) + 1
_TOO_LARGE = "an integer is beyond 2^53 - 1"
_TOO_GREAT = "a number is beyond double precision"


class NotJsonError(ValueError):
    """The text is not a JSON object."""


class UnsafeJsonError(ValueError):
    """JSON with something that other parsers read differently or not at all. `fields`: what could be read of its top level."""

    def __init__(self, message: str, fields: dict[str, Any]) -> None:
        super().__init__(message)
        self.fields = fields


class TooManyValuesError(UnsafeJsonError):
    """JSON with more values than the reader takes. Nothing of it was read, so there are no fields."""

    def __init__(self, most: int) -> None:
        super().__init__(f"there are more than {most} values", {})


class FlawError(Exception):
    """Refused JSON; the text says why."""


# What most messages of a listener are, once or several times a second: a type and small integers. A parser with hooks takes ten
# times as long. All of it is ASCII without escapes, and no integer can be beyond MAX_SAFE_INTEGER.
_MOST_PLAIN_CHARS = 200
_PLAIN = re.compile(r'\{"type": ?"([a-z.]+)"((?:, ?"[a-z_]+": ?(?:0|[1-9][0-9]{0,14}))*)\}')
_PAIR = re.compile(r'"([a-z_]+)": ?([0-9]+)')


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise FlawError("a name occurs twice in one object")
    return fields


def _no_constant(name: str) -> NoReturn:
    raise FlawError(f"{name} is not a JSON number")


_STRICT = json.JSONDecoder(object_pairs_hook=_unique, parse_constant=_no_constant)


def _checked(whole: object, max_depth: int) -> int:
    """Check numbers and nesting, level by level; returns how many names all objects have. Raises FlawError.

    Most long levels are all of one kind: numbers, or arrays, or objects. These are checked in C.
    """
    depth, names, level = 0, 0, list[Any]([whole])
    arrays: list[Any]
    objects: list[Any]
    while level:
        kinds = set(map(type, level))  # a parser makes no subclasses
        if len(kinds) == 1:
            (kind,) = kinds
            arrays = level if kind is list else []
            objects = level if kind is dict else []
            if kind is int and (min(level) < -MAX_SAFE_INTEGER or max(level) > MAX_SAFE_INTEGER):
                raise FlawError(_TOO_LARGE)
            if kind is float and not all(map(math.isfinite, level)):
                raise FlawError(_TOO_GREAT)
        else:
            arrays, objects = _checked_mixture(level)
        if arrays or objects:
            depth += 1
            if depth > max_depth:
                raise FlawError(f"the nesting is deeper than {max_depth} levels")
        names += sum(map(len, objects))
        level = [*chain.from_iterable(arrays), *chain.from_iterable(map(dict.values, objects))]
    return names


def _checked_mixture(values: list[Any]) -> tuple[list[Any], list[Any]]:
    """Check the numbers; returns the arrays and the objects. Raises FlawError."""
    arrays, objects = list[Any](), list[Any]()
    for value in values:
        kind = type(value)
        if kind is int:
            if not -MAX_SAFE_INTEGER <= value <= MAX_SAFE_INTEGER:
                raise FlawError(_TOO_LARGE)
        elif kind is float:
            if not math.isfinite(value):
                raise FlawError(_TOO_GREAT)
        elif kind is list:
            arrays.append(value)
        elif kind is dict:
            objects.append(value)
    return arrays, objects


def has_too_many_values(text: str, most: int = MAX_VALUES) -> bool:
    """True if the text would have more values, each of which takes up to a tenth of a microsecond to read."""
    if len(text) <= most or not _has_too_many_separators(text, most):
        return False
    # Most separators may stand in strings. So many values have no more strings than twice as many, for each may have a name; what has
    # more is no JSON, or too much.
    if "\\" in text:  # outside of strings there is none in JSON: nobody reads what follows it
        text = text.replace("\\\\", "").replace('\\"', "")
    parts = text.split('"', 2 * (2 * most + 3))
    return len(parts) > 2 * (2 * most + 3) or _has_too_many_separators("".join(parts[::2]), most)


def _outside_strings(text: str) -> str:
    """A long text of JSON with few strings and no escapes, with empty strings instead; any other as it is."""
    if len(text) <= SHORT_CHARS or "\\" in text:
        return text
    outside, at = list[str](), 0
    for _ in range(FEW_STRINGS):
        begin = text.find('"', at)
        if begin < 0:
            return '""'.join((*outside, text[at:]))
        outside.append(text[at:begin])
        at = text.find('"', begin + 1) + 1
        if not at:
            break  # the last string does not end
    return text


def _has_too_many_separators(text: str, most: int) -> bool:
    """Counted piece by piece: nobody waits for the count of millions."""
    found = 0
    for start in range(0, len(text), COUNTED_CHARS):
        found += sum(text.count(separator, start, start + COUNTED_CHARS) for separator in ",[{")
        if found > most:
            return True
    return False


def can_be_sent(text: str) -> bool:
    """False for text with half of a surrogate pair: JSON can spell it, UTF-8 has no bytes for it."""
    return _HALF_OF_A_PAIR.search(text) is None


def strict_value(text: str, max_depth: int, most_values: int = MAX_VALUES) -> Any:
    """The value of a JSON text. Raises TooManyValuesError before anything is read; FlawError, json.JSONDecodeError.

    json's parser with hooks takes three to five times as long, so it only reads what is flawed, to say how.
    """
    outside = _outside_strings(text)
    if has_too_many_values(outside, most_values):
        raise TooManyValuesError(most_values)
    try:
        value = from_json(text, allow_inf_nan=False)
    except (ValueError, TypeError):  # the second: for text that UTF-8 has no bytes for
        value = _judged(text, max_depth)
    names = _checked(value, max_depth)
    if names != outside.count(":"):  # colons in strings, or a name that occurs twice
        _judged(text, max_depth)
    return value


def _judged(text: str, max_depth: int) -> Any:
    """Read it with all checks of single values. Raises FlawError, json.JSONDecodeError."""
    try:
        value = _STRICT.decode(text)
    except RecursionError as error:
        raise FlawError(f"the nesting is deeper than {max_depth} levels") from error
    except json.JSONDecodeError:
        raise
    except ValueError as error:  # it has thousands of digits
        raise FlawError(_TOO_LARGE) from error
    if "\\u" in text or not text.isascii():
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise FlawError("a string holds half of a surrogate pair") from error
    return value


def _readable_fields(text: str) -> dict[str, Any]:
    """The top level of flawed JSON, to find its `id`."""
    try:
        value = json.loads(text)
    except RecursionError:
        return {}
    except json.JSONDecodeError:
        raise
    except ValueError:  # an integer of thousands of digits
        value = json.loads(text, parse_int=lambda digits: int(digits[:_FEW_DIGITS]))
    return value if isinstance(value, dict) else {}


def _plain_object(text: str) -> dict[str, Any] | None:
    """The object, if it is just a type and small integers without spaces around it. None: read it in the general way."""
    plain = _PLAIN.fullmatch(text)
    if plain is None:
        return None
    pairs = _PAIR.findall(plain[2])
    fields: dict[str, Any] = {"type": plain[1]}
    for name, digits in pairs:
        fields[name] = int(digits)
    return fields if len(fields) == len(pairs) + 1 else None  # None: a name occurs twice


def parse_object(text: str, max_depth: int, most_values: int = MAX_VALUES) -> dict[str, Any]:
    """A JSON object. Raises NotJsonError, UnsafeJsonError; of these, TooManyValuesError before anything is read."""
    if len(text) <= _MOST_PLAIN_CHARS and (plain := _plain_object(text)) is not None:
        return plain
    try:
        value = strict_value(text, max_depth, most_values)
    except TooManyValuesError:
        raise
    except FlawError as flaw:
        try:
            fields = _readable_fields(text)
        except ValueError as error:
            raise NotJsonError("the text is not JSON") from error
        raise UnsafeJsonError(str(flaw), fields) from flaw
    except ValueError as error:
        raise NotJsonError("the text is not JSON") from error
    if not isinstance(value, dict):
        raise NotJsonError("the text is not a JSON object")
    return value
