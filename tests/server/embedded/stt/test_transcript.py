from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.stt.repeats import cleaned, without_repeats
from server.embedded.stt.transcript import HeardWord, Promise, begins_with, confidence


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Stop. Stop. Stop.", "Stop."),
        ("What time is it? What time is", "What time is it?"),
        ("Scroll down. Scroll down. Scroll down", "Scroll down."),
        ("Forget My name. For get My name.", "Forget My name."),
        ("Forget My name. For get My name. For ge", "Forget My name."),
        ("I do not know that that is right", None),
        ("a banana banana", None),
        ("it is very very good", None),
        ("ten of clubs", None),
        ("stop", None),
        ("", None),
    ],
)
def test_what_repeats_until_the_end_is_cut(written: str, kept: str | None) -> None:
    words, repeated = without_repeats(written.split())
    assert (" ".join(words), repeated) == ((kept, True) if kept is not None else (written, False))


@pytest.mark.parametrize("text", ["[BLANK_AUDIO]", "(coughs)", "♪♪", "...", "*sighs*", ""])
def test_notes_about_sounds_are_no_words(text: str) -> None:
    assert cleaned(text) == ""


def test_confidence_weighs_words_by_their_length() -> None:
    assert confidence((HeardWord("a", 0, 300, 1.0), HeardWord("b", 300, 400, 0.0))) == 0.75
    assert confidence(()) == 0.0


def test_a_promise_needs_three_decodes_and_leaves_out_the_last_two_words() -> None:
    promise = Promise()
    for text in ("What time is", "What time is it", "What time is it now"):
        assert promise.text == ""
        promise.observe(text)
    assert promise.text == "What"
    assert promise.keep("That time is it") == "What time is it"


TEXTS = st.lists(
    st.sampled_from(["a b c d", "a b c d e", "A, b c", "b c d", "", "a b. c d e f"]),
    max_size=12,
)


@given(TEXTS)
def test_what_was_promised_never_changes(texts: list[str]) -> None:
    promise, promised = Promise(), ""
    for text in texts:
        promise.observe(text)
        assert begins_with(promise.text, promised)
        promised = promise.text
        assert begins_with(promise.keep(text), promised)
