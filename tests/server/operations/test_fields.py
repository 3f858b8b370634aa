"""The texts in requests, before they come to a service."""

from __future__ import annotations

import unicodedata

import pytest
from pydantic import TypeAdapter, ValidationError

from server.operations.fields import MAX_KEY_CHARS, Key


def test_a_key_that_is_too_long_is_refused_as_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    """60,000 unordered combining marks stopped the gateway for six seconds before its length was looked at."""
    normalised: list[int] = []
    usual = unicodedata.normalize

    def counted(form: str, text: str) -> str:
        normalised.append(len(text))
        return usual(form, text)  # type: ignore[arg-type]

    monkeypatch.setattr(unicodedata, "normalize", counted)
    with pytest.raises(ValidationError, match="a key has 1 to 256 characters"):
        TypeAdapter(Key).validate_python("a" + "\u0315\u0300" * 30_000)
    assert normalised == []


def test_the_accents_of_a_key_are_composed_before_it_is_counted() -> None:
    typed = unicodedata.normalize("NFD", "\u1faf" * MAX_KEY_CHARS)  # four code points each
    assert len(typed) == 4 * MAX_KEY_CHARS
    assert TypeAdapter(Key).validate_python(typed) == "\u1faf" * MAX_KEY_CHARS
