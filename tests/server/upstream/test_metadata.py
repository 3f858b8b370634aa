from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.upstream.metadata import call_metadata, metadata_value
from streaming.ports import CallContext


def test_the_context_travels_under_the_contracts_names() -> None:
    context = CallContext("u-1", ("user", "admin"), "s-1", "req-12345678", "00-4bf9-00f0-01")
    assert dict(call_metadata(context)) == {
        "x-request-id": "req-12345678",
        "traceparent": "00-4bf9-00f0-01",
        "x-user-id": "u-1",
        "x-session-id": "s-1",
        "x-user-roles": "user,admin",
    }


def test_what_is_empty_is_left_out() -> None:
    assert call_metadata(CallContext("u")) == (("x-user-id", "u"),)


@pytest.mark.parametrize("plain", ["alice@example.org", "auth0|abc", "a-b_c.d~e", "{1}/2?x=y&z;", ""])
def test_ordinary_names_travel_as_they_are(plain: str) -> None:
    assert metadata_value(plain) == plain


def test_a_role_with_a_comma_stays_one_role() -> None:
    value = dict(call_metadata(CallContext("u", ("a,b", "c"))))["x-user-roles"]
    assert [unquote(role) for role in value.split(",")] == ["a,b", "c"]


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_becomes_legal_metadata_and_comes_back(text: str) -> None:
    value = metadata_value(text)
    assert all(0x21 <= ord(char) <= 0x7E and char != "," for char in value)
    assert unquote(value) == text


def test_a_lone_surrogate_does_no_harm() -> None:
    assert metadata_value("a\ud800b") == "a?b"
