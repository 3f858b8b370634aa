from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.strict_json import (
    SHORT_CHARS,
    FlawError,
    NotJsonError,
    TooManyValuesError,
    UnsafeJsonError,
    parse_object,
    strict_value,
)

if TYPE_CHECKING:
    from collections.abc import Callable

DEPTH = 8
scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
documents = st.dictionaries(st.text(), st.recursive(scalars, lambda inner: st.lists(inner, max_size=3), max_leaves=5))


@given(documents, st.booleans())
def test_everything_that_is_i_json_is_taken(document: dict[str, object], ascii_only: bool) -> None:
    text = json.dumps(document, ensure_ascii=ascii_only)
    assert parse_object(text, 64) == document


pairs = st.tuples(
    st.sampled_from(["seq", "channel", "type", "Seq", "a.b", ""]),
    st.sampled_from(["0", "7", "-1", "01", "1.0", "1e2", "999999999999999", "9007199254740992", "null", '"x"', "[1]"]),
)


@given(st.lists(pairs, max_size=4), st.sampled_from([" ", ""]), st.sampled_from(["ack", "channel.end", "é", "\\u0061"]))
def test_short_messages_of_integers_are_read_like_all_others(
    found: list[tuple[str, str]], space: str, kind: str
) -> None:
    """They have a way of their own, because there are many of them. It must not differ."""
    text = "{" + f",{space}".join(f'"{name}":{space}{value}' for name, value in [("type", f'"{kind}"'), *found]) + "}"
    try:
        expected = strict_value(text, DEPTH)
    except (FlawError, ValueError):
        with pytest.raises((NotJsonError, UnsafeJsonError)):
            parse_object(text, DEPTH)
    else:
        assert parse_object(text, DEPTH) == expected
        assert [type(value) for value in parse_object(text, DEPTH).values()] == [type(v) for v in expected.values()]


@given(st.text())
def test_any_text_is_taken_or_refused_and_never_crashes(text: str) -> None:
    with pytest.raises((NotJsonError, UnsafeJsonError)):
        parse_object(text + "{", DEPTH)


@pytest.mark.parametrize("text", ["", "hello", "{", "[1, 2]", '"text"', "1", "null", "{'a': 1}", '{"a": NaN', "\ud800"])
def test_what_is_no_object_is_no_message(text: str) -> None:
    with pytest.raises(NotJsonError):
        parse_object(text, DEPTH)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"id": "x", "a": NaN}', "NaN"),
        ('{"id": "x", "a": -Infinity}', "-Infinity"),
        ('{"id": "x", "a": 1e400}', "double"),
        ('{"id": "x", "a": 9007199254740992}', "2^53"),
        ('{"id": "x", "a": ' + "9" * 5000 + "}", "2^53"),
        ('{"id": "x", "a": {"b": 1, "b": 2}}', "twice"),
        ('{"id": "x", "a": "\\ud800"}', "surrogate"),
        ('{"id": "x", "a": "\ud800"}', "surrogate"),
        ('{"id": "x", "a": [[[[[[[[1]]]]]]]]}', "deeper than 8"),
        ('{"id": "x", "a": {"b": {"c": {"d": {"e": {"f": {"g": {"h": {}}}}}}}}}', "deeper than 8"),
    ],
)
def test_what_others_would_read_differently_is_unsafe(text: str, reason: str) -> None:
    with pytest.raises(UnsafeJsonError, match=reason.replace("^", r"\^")) as refused:
        parse_object(text, DEPTH)
    assert refused.value.fields["id"] == "x"


def thread_s(*works: Callable[[], object]) -> list[float]:
    """The CPU time of each, without what disturbed it: by turns, and often."""
    taken = [float("inf")] * len(works)
    for _ in range(60):
        for number, work in enumerate(works):
            began = time.thread_time()
            work()
            taken[number] = min(taken[number], time.thread_time() - began)
    return taken


@pytest.mark.parametrize("value", [{}, [], {"a": 1}, 1.5])
def test_thousands_of_values_are_read_about_as_fast_as_without_checks(value: object) -> None:
    """All that one client's text takes, others wait for. Objects took eight times as long."""
    text = json.dumps({"values": [value] * 3_000})
    checked_s, unchecked_s = thread_s(lambda: strict_value(text, DEPTH), lambda: json.loads(text))
    assert checked_s < 6 * unchecked_s


@given(documents, st.sampled_from(["12:30", '":', ":" * 9, 'a":b']))
def test_colons_in_strings_are_no_names(document: dict[str, object], text: str) -> None:
    document = {**document, text: [text, {text: text}]}
    assert strict_value(json.dumps(document), 64) == document


@given(st.lists(st.text(',:[{"}]x', max_size=3_000), max_size=200), st.booleans())
def test_a_long_text_with_few_strings_is_read_like_any_other(strings: list[str], twice: bool) -> None:
    """What stands in its strings is not counted."""
    document = {"a": strings, "b": "," * SHORT_CHARS}
    text = json.dumps(document)
    assert strict_value(text, DEPTH, len(strings) + 10) == document
    with pytest.raises(TooManyValuesError):
        strict_value(text[:-1] + ',"c":[' + "1," * 100 + "1]}", DEPTH, 50)
    if twice:
        with pytest.raises(FlawError, match="twice"):
            strict_value(text[:-1] + ',"b":1}', DEPTH)


def test_many_brackets_are_not_deep() -> None:
    assert parse_object('{"a": [[], [], [], [], [], [], [], [], [], []]}', 3)


def test_the_deepest_nesting_does_not_overflow_the_stack() -> None:
    text = '{"a": ' + "[" * 100_000 + "]" * 100_000 + "}"
    with pytest.raises(UnsafeJsonError, match="deeper than") as refused:
        parse_object(text, DEPTH, len(text))
    assert refused.value.fields == {}


def test_a_flaw_outside_of_an_object_tells_nothing() -> None:
    with pytest.raises(UnsafeJsonError) as refused:
        parse_object("[NaN]", DEPTH)
    assert refused.value.fields == {}
