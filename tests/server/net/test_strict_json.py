"""JSON bodies: ambiguous ones are refused with a helpful message, and all others are accepted."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ApiError
from server.net.strict_json import MAX_DEPTH, loads
from streaming.strict_json import MAX_SAFE_INTEGER as MAX_INTEGER
from streaming.strict_json import MAX_VALUES, has_too_many_values


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "line 1 column 1"),
        (b"{", "line 1 column 2"),
        (b"{} {}", "Extra data"),
        (b'{"a": NaN}', "NaN"),
        (b"[-Infinity]", "-Infinity"),
        (b"[1e400]", "double precision"),
        (b"[" + b"9" * 5000 + b"]", "2^53"),
        (str([MAX_INTEGER + 1]).encode(), "2^53"),
        (b'{"a": 1, "a": 2}', "twice"),
        (b'{"a": {"b": 1, "b": 1}}', "twice"),
        (b'["\\ud800"]', "surrogate"),
        (b'{"\\udfff": 1}', "surrogate"),
        (b'["\xff"]', "UTF-8 at byte 2"),
        (b"[" * 9_000, "deeper"),
        (b"[" * (MAX_DEPTH + 1) + b"]" * (MAX_DEPTH + 1), "deeper"),
        (b'{"a":' * 5_000 + b"1" + b"}" * 5_000, "deeper"),
        (b"{'a': 1}", "line 1"),
        (b'["\x01"]', "control character"),
        (b"[01]", "line 1"),
    ],
    ids=lambda value: repr(value)[:24],
)
def test_what_others_would_read_differently_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ApiError) as refused:
        loads(body)
    assert (refused.value.status, refused.value.code) == (400, "MALFORMED_JSON")
    assert words in refused.value.detail


def test_the_edges_are_taken() -> None:
    assert loads(b"[" * MAX_DEPTH + b"]" * MAX_DEPTH) is not None
    assert loads(b"[[],[],[],[]]" * 1) == [[], [], [], []]
    assert loads(str([MAX_INTEGER, -MAX_INTEGER, 1e308]).encode()) == [MAX_INTEGER, -MAX_INTEGER, 1e308]
    assert loads(b'"\\ud83d\\ude00"') == "😀"
    assert loads('{"grüße": null}') == {"grüße": None}
    wide = json.dumps([[n] for n in range(1000)])
    assert len(loads(wide)) == 1000


@given(st.binary(max_size=64) | st.text(max_size=64).map(lambda text: text.encode()))
def test_any_bytes_are_a_value_or_a_refusal(body: bytes) -> None:
    try:
        value = loads(body)
    except ApiError as refused:
        code = refused.code
    else:
        code = ""
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode()
    assert code in {"", "MALFORMED_JSON"}


@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-MAX_INTEGER, MAX_INTEGER)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
        max_leaves=20,
    )
)
def test_what_is_json_everywhere_comes_through(value: object) -> None:
    assert loads(json.dumps(value)) == value


@pytest.mark.parametrize(
    ("text", "too_many"),
    [
        ("[" + "0," * MAX_VALUES + "0]", True),
        ("[" * MAX_VALUES + "0,0", True),
        ('["' + "," * 2 * MAX_VALUES + '"]', False),  # separators in strings are none
        ('"' + '\\"' * 100_000 + "," * 2 * MAX_VALUES, False),  # a string that does not end is read once
        ('["\\\\"' + "," * 2 * MAX_VALUES, True),  # a string ends behind an escaped backslash
        ('["\\\n' + "," * 2 * MAX_VALUES, False),
        ('"",' * 10_000_000, True),  # nobody waits until the last string was found
        ('{"a":"",' + ",".join(f'"{number}":""' for number in range(MAX_VALUES - 1)) + "}", False),
    ],
)
def test_values_are_counted_before_they_are_read(text: str, too_many: bool) -> None:
    began = time.thread_time()
    assert has_too_many_values(text) is too_many
    assert time.thread_time() - began < 0.5


def test_a_body_has_so_many_values() -> None:
    with pytest.raises(ApiError, match="10000 values"):
        loads(json.dumps([0] * 2 * MAX_VALUES))
