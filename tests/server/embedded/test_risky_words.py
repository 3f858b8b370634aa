"""Which words on a button are risky, however they are written."""

from __future__ import annotations

import pytest

from server.embedded.risky_words import DESTROYING, EFFECTIVE, risky_words, words_of


@pytest.mark.parametrize(
    "text",
    [
        "Delete",
        "DELETE!",
        "delete_account",
        "deleteAccount",
        "De\u00adlete",
        "De\u200blete",
        "D\u2060e\u034fl\ufe0fete",
        "\uff24\uff45\uff4c\uff45\uff54\uff45",
        "\U0001d403\U0001d41e\U0001d425\U0001d41e\U0001d42d\U0001d41e",
        "Deletes everything",
        "deleting",
        "De\ufffclete",
        "\uff24e\u00adleting",
    ],
)
def test_a_risky_word_is_seen_however_it_is_written(text: str) -> None:
    """A button with most of these was clicked by its selector, without a question."""
    assert risky_words(text) == {"delete"}


@pytest.mark.parametrize(
    ("form", "verb"),
    [
        ("removes", "remove"),
        ("buys", "buy"),
        ("paying", "pay"),
        ("submitting", "submit"),
        ("publishes", "publish"),
        ("unsubscribing", "unsubscribe"),
    ],
)
def test_a_form_of_a_risky_verb_is_one_too(form: str, verb: str) -> None:
    assert words_of(form) == {form, verb}


@pytest.mark.parametrize(
    "text",
    [
        "payload",
        "sender",
        "postal",
        "Orderly",
        "a bidet",
        "confirmand",
        "Airline orders jets",
        "Posts",
        "Sent",
        "Deleted items",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert not risky_words(text)


def test_every_verb_is_itself() -> None:
    assert all(risky_words(verb) == {verb} for verb in DESTROYING | EFFECTIVE)
