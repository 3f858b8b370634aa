from __future__ import annotations

import json
import math
from typing import Any

import pytest
from google.protobuf import struct_pb2
from hypothesis import given
from hypothesis import strategies as st

from server.upstream.convert import MAX_DEPTH, MAX_EXACT_INT, asking, from_struct, reading, to_struct
from streaming.ports import ServiceError

TEXT = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-MAX_EXACT_INT, MAX_EXACT_INT)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int) -> dict[str, Any]:
    value: dict[str, Any] = {}
    for _ in range(depth - 1):
        value = {"inner": value}
    return value


@given(st.dictionaries(TEXT, JSON, max_size=5))
def test_any_json_object_survives_the_wire(given_object: dict[str, Any]) -> None:
    struct = struct_pb2.Struct.FromString(to_struct(given_object).SerializeToString())
    assert from_struct(struct) == given_object


def test_whole_numbers_come_back_as_integers() -> None:
    back = from_struct(to_struct({"a": 3, "b": 2.0, "c": 2.5, "d": [10], "e": True, "f": 1e300}))
    assert json.dumps(back) == '{"a": 3, "b": 2, "c": 2.5, "d": [10], "e": true, "f": 1e+300}'


def test_empty_objects_and_lists_stay_what_they_are() -> None:
    assert from_struct(to_struct({"a": {}, "b": [], "c": None, "d": ""})) == {"a": {}, "b": [], "c": None, "d": ""}


def test_a_services_nan_does_not_reach_our_json() -> None:
    struct = struct_pb2.Struct()
    struct.fields["x"].number_value = math.nan
    struct.fields["y"].number_value = -math.inf
    assert from_struct(struct) == {"x": None, "y": None}


def test_a_value_without_a_kind_is_none() -> None:
    struct = struct_pb2.Struct(fields={"x": struct_pb2.Value()})
    assert from_struct(struct) == {"x": None}


def test_the_deepest_allowed_nesting_can_be_parsed_at_the_other_end() -> None:
    deepest = nested(MAX_DEPTH)
    assert from_struct(struct_pb2.Struct.FromString(to_struct(deepest).SerializeToString())) == deepest


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"x": MAX_EXACT_INT + 1}, "2\\^53"),
        ({"x": 10**400}, "2\\^53"),
        ({"x": math.nan}, "finite"),
        ({"x": [math.inf]}, "finite"),
        ({"x": object()}, "not a JSON type"),
        ({"x": "\ud800"}, "valid Unicode"),
        ({"\ud800": 1}, "valid Unicode"),
        (nested(MAX_DEPTH + 1), "nested"),
        (nested(5000), "nested"),
    ],
    ids=str.split("big huge nan inf object text key deep deeper"),
)
def test_what_a_struct_cannot_carry_is_the_callers_mistake(wrong: dict[str, Any], words: str) -> None:
    with pytest.raises(ServiceError, match=words) as raised, asking("browser"):
        to_struct(wrong)
    assert (raised.value.code, raised.value.service, raised.value.retryable) == ("INVALID_ARGUMENT", "browser", False)


def test_an_answer_that_cannot_be_read_is_the_services_fault() -> None:
    with pytest.raises(ServiceError, match="cannot be read") as raised, reading("memory"):
        json.loads("{")
    assert raised.value.code == "INTERNAL"
