"""Secrets never reach an observer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streaming import redaction
from streaming.redaction import HIDDEN, SECRETS, hide, without_secrets

if TYPE_CHECKING:
    from collections.abc import Callable


@pytest.mark.parametrize("name", sorted(SECRETS))
@pytest.mark.parametrize("around", [lambda it: it, lambda it: {"a": it}, lambda it: {"a": [[{"b": [it]}]]}])
def test_what_opens_something_is_hidden_however_deep(name: str, around: Callable[[Any], Any]) -> None:
    message = {"type": "x", "params": around({name: "s3cret", "id": "1"})}
    assert hide(message)
    assert message == {"type": "x", "params": around({name: HIDDEN, "id": "1"})}


def test_nothing_is_nothing_to_hide() -> None:
    message = {"type": "x", "token": None, "password": ""}
    assert not hide(dict(message))


def test_words_about_tokens_are_no_secrets() -> None:
    text = '{"type": "tts.text", "text": "say \\"token\\": me"}'
    assert without_secrets(text, {"type": "tts.text", "text": 'say "token": me'}) == text


def test_a_message_that_names_no_secret_is_not_looked_through(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each message of a watched session passes here."""

    def looked(*_: object) -> bool:
        raise AssertionError

    monkeypatch.setattr(redaction, "hide", looked)
    assert without_secrets('{"type": "é"}', {"type": "é"}) == '{"type": "é"}'
    for text in ('{"token": 1}', '{"tok\\u0065n": 1}'):
        with pytest.raises(AssertionError):
            without_secrets(text, {"token": 1})
