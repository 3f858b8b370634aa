from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.embedded.tts.pieces import MAX_PIECE_COST, Boundary, Piece, PieceCutter, cost


def cut(*parts: str) -> list[Piece]:
    cutter = PieceCutter()
    return [piece for part in parts for piece in cutter.feed(part)] + cutter.flush()


@pytest.mark.parametrize(
    ("text", "pieces"),
    [
        ("One. Two! Three? Four", ["One.", " Two!", " Three?", " Four"]),
        ("It costs 3.14 dollars. Yes.", ["It costs 3.14 dollars.", " Yes."]),
        ("Dr. Smith met J. R. Tolkien, e.g. here. Then", ["Dr. Smith met J. R. Tolkien, e.g. here.", " Then"]),
        ("It was I. You know", ["It was I.", " You know"]),
        ('He said "stop." She went', ['He said "stop."', " She went"]),
        ("A title\nA line", ["A title\n", "A line"]),
        ("你好。再见！", ["你好。", "再见！"]),
        ("Wait... what", ["Wait...", " what"]),
        ("example.com is up", ["example.com is up"]),
        ("", []),
    ],
)
def test_sentences(text: str, pieces: list[str]) -> None:
    assert [piece.text for piece in cut(text)] == pieces
    assert [piece.text for piece in cut(*text)] == pieces, "a letter at a time"


def test_a_sentence_is_whole_when_the_next_begins() -> None:
    cutter = PieceCutter()
    assert cutter.feed("It is ten.") == []
    assert [piece.text for piece in cutter.feed(" And")] == ["It is ten."]


def test_a_long_sentence_is_cut_at_a_clause_else_at_a_word_else_anywhere() -> None:
    clause, word, rest = "a" * 200 + ", ", "b" * 200 + " ", "c" * 700
    pieces = cut(clause + word + rest)
    assert [(len(piece.text), piece.boundary) for piece in pieces] == [
        (202, Boundary.CLAUSE),
        (201, Boundary.WORD),
        (300, Boundary.WORD),
        (300, Boundary.WORD),
        (100, Boundary.SENTENCE),
    ]


@pytest.mark.parametrize("text", ["J. ", "e.g. ", ".", '."', "a! ", "…?", "a\n"])
def test_odd_texts_are_cut_as_fast_as_others(text: str) -> None:
    """Three kinds of these took four to twenty seconds."""
    began = time.thread_time()
    assert cut(text * (60_000 // len(text)))
    assert time.thread_time() - began < 1


@pytest.mark.parametrize("char", ["7", "≠", "½", "%", "漢"])
def test_what_takes_longer_to_say_has_shorter_pieces(char: str) -> None:
    pieces = cut(char * 1_000)
    assert all(len(piece.text) <= 100 for piece in pieces)
    assert sum(cost(piece.text) for piece in pieces) == cost(char * 1_000)


@given(
    st.lists(st.text(st.sampled_from("ab.!? \n,;。é“”\x01") | st.characters(exclude_categories=["Cs"]), max_size=400))
)
def test_pieces_joined_are_the_text_and_none_is_long(parts: list[str]) -> None:
    pieces = cut(*parts)
    assert "".join(piece.text for piece in pieces) == "".join(parts)
    assert all(piece.text for piece in pieces)
    assert all(cost(piece.text) <= MAX_PIECE_COST for piece in pieces)
    assert all(len(piece.speakable) == len(piece.text) for piece in pieces)
