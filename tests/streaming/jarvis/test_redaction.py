"""Secrets never reach an observer."""

from __future__ import annotations

import pytest

from streaming.jarvis.redaction import HIDDEN, redacted


def test_a_message_without_secrets_is_the_same() -> None:
    message = {"type": "ping", "t": 1}
    assert redacted(message) is message


@pytest.mark.parametrize("name", ["token", "resume_token"])
def test_tokens_are_hidden(name: str) -> None:
    shown = redacted({"type": "auth", name: "s3cret", "id": "1"})
    assert shown == {"type": "auth", name: HIDDEN, "id": "1"}


def test_words_about_tokens_are_no_secrets() -> None:
    message = {"type": "tts.text", "text": 'say "token"'}
    assert redacted(message)["text"] == 'say "token"'
