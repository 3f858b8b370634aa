"""A model's words, split into sentences as they arrive."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.embedded.mind.sentences import SentenceCutter


def cut(text: str, size: int = 1) -> list[str]:
    cutter = SentenceCutter()
    fed = [cutter.feed(text[at : at + size]) for at in range(0, len(text), size)]
    return [piece for piece in [*fed, cutter.rest()] if piece]


@pytest.mark.parametrize("size", [1, 3, 1000])
def test_joined_the_sentences_are_the_text(size: int) -> None:
    text = 'Hello there.  How are you? Dr. Who (he says "no.") left at 3.15 p.m. today!\nBye'
    assert "".join(cut(text, size)) == text


def test_a_sentence_comes_as_soon_as_the_next_can_begin() -> None:
    assert cut("It is ten. Shall I? Yes") == ["It is ten. ", "Shall I? ", "Yes"]


@example(["。", '"'])
@given(
    st.lists(
        st.sampled_from(["Mr", "e.g", "J", "12", "no", ".", ".", "!", '"', " ", " ", "\n", "。", "<think>", "</think>"])
    )
)
def test_a_sentence_ends_where_it_does_however_the_text_comes(parts: list[str]) -> None:
    """A number that began a sentence was one of its own if an earlier sentence came with it."""
    text = "".join(parts)
    rests = list[str]()
    for pieces in (parts, list(text), [text]):
        cutter = SentenceCutter()
        for piece in pieces:
            cutter.feed(piece)
        rests.append(cutter.rest().lstrip())
    assert rests[1:] == rests[:-1]


@pytest.mark.parametrize("unit", ["J. ", "Mr. ", ".", '."', "a.b ", "x", " ", "<think>a", "。"])
@pytest.mark.parametrize("size", [1, 50_000])
def test_a_long_answer_of_odd_text_is_read_once(unit: str, size: int) -> None:
    """3,000 characters of initials took seconds, and this would not have ended: all was read again for each of them."""
    text = (unit * 50_000)[:50_000]
    said = "" if unit.startswith("<think>") else text
    assert "".join(cut(text, size)) == said


@pytest.mark.parametrize("text", ["Dr. Who", "1. First", "J. Doe", "e.g. this", "It costs 3.50 now"])
def test_a_full_stop_that_ends_no_sentence_cuts_nothing(text: str) -> None:
    assert cut(text) == [text]


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_what_a_model_thinks_aloud_is_not_said(size: int) -> None:
    assert cut("<think>Hm. They greet me.\n</think>\n\nHello.", size) == ["Hello."]


@pytest.mark.parametrize("text", ["<th", "<b>bold</b>", "<"])
def test_what_only_begins_like_it_is_said(text: str) -> None:
    assert "".join(cut(text)) == text


def test_thoughts_without_an_end_are_nothing_to_say() -> None:
    assert cut("<think>Hm. For ever") == []
