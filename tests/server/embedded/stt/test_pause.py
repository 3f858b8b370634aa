from __future__ import annotations

import pytest

from server.embedded.stt.pause import (
    COMPLETE_MS,
    DICTATING_MS,
    OPEN_MS,
    UNSURE_MS,
    silence_needed_ms,
)


@pytest.mark.parametrize(
    "text",
    [
        "What time is it?",
        "Stop.",
        "Yes, please.",
        "List files in the current directory.",
        "Go back.",
        "No, thanks.",
    ],
)
def test_a_sentence_with_its_full_stop_is_over_soon(text: str) -> None:
    assert silence_needed_ms(text) <= UNSURE_MS


@pytest.mark.parametrize(
    ("text", "complete", "needed_ms"),
    [
        ("What time is it?", 0.9, COMPLETE_MS),
        ("What time is it?", 0.1, OPEN_MS),  # it did not sound like the end
        ("My number is five five", 0.9, COMPLETE_MS),
        ("tell my brother", 0.5, COMPLETE_MS),
        ("search for", 0.9, OPEN_MS),  # the words know better
        ("", 0.9, UNSURE_MS),
    ],
)
def test_a_model_of_turns_decides_where_the_words_do_not(text: str, complete: float, needed_ms: int) -> None:
    assert silence_needed_ms(text, complete) == needed_ms


@pytest.mark.parametrize("text", ["What time is it?", "Stop.", "List files in the current directory."])
def test_what_is_complete_waits_least(text: str) -> None:
    assert silence_needed_ms(text) == COMPLETE_MS


@pytest.mark.parametrize(
    "text",
    [
        "Search for",
        "Search for.",
        "Open the",
        "Remember that my",
        "Tell me about",
        "I want to...",
        "Find,",
        "What is the",
    ],
)
def test_a_sentence_that_cannot_end_here_goes_on(text: str) -> None:
    assert silence_needed_ms(text) == OPEN_MS


@pytest.mark.parametrize("text", ["What is it about?", "Who am I?", "Yes, I do.", "Really?"])
def test_a_question_may_end_with_a_small_word(text: str) -> None:
    assert silence_needed_ms(text) < OPEN_MS


@pytest.mark.parametrize("text", ["My number is 555", "five five"])
def test_digits_may_be_followed_by_digits(text: str) -> None:
    assert silence_needed_ms(text) == DICTATING_MS


@pytest.mark.parametrize("text", ["", "list files"])
def test_without_a_full_stop_or_words_nobody_is_hurried(text: str) -> None:
    assert silence_needed_ms(text) == UNSURE_MS
