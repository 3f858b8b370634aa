from __future__ import annotations

import pytest

from server.embedded.stt.dictation import is_of_number, with_codes_whole
from server.embedded.stt.transcript import Promise


def whole(text: str) -> str:
    return " ".join(word for word, _ in with_codes_whole([(word, []) for word in text.split()]))


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("Remember that my code is 4-4-1-7.", "Remember that my code is 4417."),
        ("My PIN is 0 0 2 0.", "My PIN is 0020."),
        ("Her number is 5-5-5 1 2 3 4 and mine is 7.", "Her number is 5551234 and mine is 7."),
        ("The code, 1 2 3", "The code, 123"),
        ("The number is 555-1234.", None),
        ("The number is 4 2", None),
        ("My code is 1 2 3. Count 1 2 3", "My code is 123. Count 1 2 3"),
        ("What is 4-1-1-1?", None),  # a sum
        ("The score was 3-2.", None),
        ("The numbers are 3 5 7 9", None),
        ("", None),
    ],
)
def test_the_digits_of_a_code_are_one_word(written: str, kept: str | None) -> None:
    assert whole(written) == (written if kept is None else kept)


def test_it_has_the_tokens_of_all() -> None:
    assert with_codes_whole([("code", [1]), ("1", [2]), ("2-3", [3, 4])]) == [("code", [1]), ("123", [2, 3, 4])]


@pytest.mark.parametrize("word", ["4", "4-4-1", "$20.", "four", "twenty-three", "Oh", "hundred"])
def test_words_of_numbers(word: str) -> None:
    assert is_of_number(word)


@pytest.mark.parametrize("word", ["please", "for", "someone", "--", ""])
def test_other_words(word: str) -> None:
    assert not is_of_number(word)


def test_a_number_is_promised_once_something_else_follows_it() -> None:
    promise = Promise()
    for _ in range(3):
        promise.observe("My code is four four one seven")
    assert promise.text == "My code is"
    for _ in range(3):
        promise.observe("My code is 4417 and that is")
    assert promise.text == "My code is 4417 and"
