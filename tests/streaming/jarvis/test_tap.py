"""Secrets never reach an observer or a recording."""

from __future__ import annotations

import json

import pytest

from streaming.jarvis.tap import HIDDEN, without_secrets


def test_a_message_without_secrets_is_the_same() -> None:
    text = '{"type":"ping","t":1}'
    assert without_secrets(text) is text


@pytest.mark.parametrize("name", ["token", "resume_token"])
def test_tokens_are_hidden(name: str) -> None:
    shown = json.loads(without_secrets(json.dumps({"type": "auth", name: "s3cret", "id": "1"})))
    assert shown == {"type": "auth", name: HIDDEN, "id": "1"}


@pytest.mark.parametrize("text", ['{"token": "s3cret"', '["token"]', '"token"'])
def test_what_cannot_be_read_is_hidden_whole(text: str) -> None:
    assert json.loads(without_secrets(text)) == {"type": HIDDEN}


def test_words_about_tokens_are_no_secrets() -> None:
    text = json.dumps({"type": "tts.text", "text": 'say "token"'})
    assert "s3cret" not in text
    assert json.loads(without_secrets(text))["text"] == 'say "token"'
