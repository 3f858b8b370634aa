"""JSON objects to and from `google.protobuf.Struct`, and guards for building requests and reading answers."""

from __future__ import annotations

import math
from functools import cache
from typing import TYPE_CHECKING, Any

from google.protobuf import struct_pb2

from server.services import title
from server.upstream.status import clean_text, failure

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_DEPTH = 30  # protobuf refuses nesting beyond 100, and each JSON level takes three
MAX_EXACT_INT = 2**53  # Struct numbers are doubles: larger integers would be changed


def to_struct(given: Mapping[str, Any]) -> struct_pb2.Struct:
    """A JSON object as Struct. Raises ValueError for anything that a Struct would change."""
    struct = struct_pb2.Struct()
    _fill_struct(struct, given, 1)
    return struct


def _fill_struct(struct: struct_pb2.Struct, given: Mapping[str, Any], depth: int) -> None:
    for key, value in given.items():
        _fill_value(struct.fields[key], value, depth)


def _fill_value(target: struct_pb2.Value, value: Any, depth: int) -> None:
    if value is None:
        target.null_value = struct_pb2.NULL_VALUE
    elif isinstance(value, bool):
        target.bool_value = value
    elif isinstance(value, str):
        target.string_value = value
    elif isinstance(value, int | float):
        target.number_value = _number(value)
    elif depth >= MAX_DEPTH:
        raise ValueError(f"objects may be nested {MAX_DEPTH} deep")
    else:
        _fill_nested(target, value, depth + 1)


def _fill_nested(target: struct_pb2.Value, value: Any, depth: int) -> None:
    if isinstance(value, dict):
        target.struct_value.SetInParent()
        _fill_struct(target.struct_value, value, depth)
    elif isinstance(value, list | tuple):
        target.list_value.SetInParent()
        for item in value:
            _fill_value(target.list_value.values.add(), item, depth)
    else:
        raise ValueError(f"{type(value).__name__} is not a JSON type")  # noqa: TRY004 - callers catch one type for bad input


def _number(value: float) -> float:
    if isinstance(value, int) and abs(value) > MAX_EXACT_INT:
        raise ValueError("an integer above 2^53 would not arrive unchanged: send it as a string")
    if not math.isfinite(value):
        raise ValueError("numbers must be finite")
    return float(value)


def from_struct(struct: struct_pb2.Struct) -> dict[str, Any]:
    """A Struct as JSON object. Whole numbers become int; what JSON cannot express (NaN, infinity) becomes None.

    Keys are sorted, because a Struct has no order, and protobuf's own differs between processes.
    """
    fields = struct.fields
    return {key: _from_value(fields[key]) for key in sorted(fields)}


def _from_value(value: struct_pb2.Value) -> Any:
    match value.WhichOneof("kind"):
        case "string_value":
            return value.string_value
        case "number_value":
            return _from_number(value.number_value)
        case "bool_value":
            return value.bool_value
        case "struct_value":
            return from_struct(value.struct_value)
        case "list_value":
            return [_from_value(item) for item in value.list_value.values]
    return None


def _from_number(number: float) -> float | None:
    if number.is_integer() and abs(number) <= MAX_EXACT_INT:
        return int(number)
    return number if math.isfinite(number) else None


class _Asking:
    """See `asking`. A class, because a generator would cost more per call than the request itself."""

    __slots__ = ("_service",)

    def __init__(self, service: str) -> None:
        self._service = service

    def __enter__(self) -> None:
        pass

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, UnicodeError):
            raise failure(self._service, "INVALID_ARGUMENT", "text must be valid Unicode") from None
        if isinstance(error, ValueError | TypeError | OverflowError | RecursionError):
            raise failure(self._service, "INVALID_ARGUMENT", clean_text(str(error))) from None


class _Reading(_Asking):
    """See `reading`."""

    __slots__ = ()

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        if isinstance(error, ValueError | TypeError | RecursionError):
            told = f"{title(self._service)} sent an answer that cannot be read"
            raise failure(self._service, "INTERNAL", told) from None


@cache
def asking(service: str) -> _Asking:
    """Guards building a request: what protobuf cannot carry is the caller's mistake, INVALID_ARGUMENT."""
    return _Asking(service)


@cache
def reading(service: str) -> _Reading:
    """Guards reading an answer: what breaks the contract is the service's fault, INTERNAL."""
    return _Reading(service)
