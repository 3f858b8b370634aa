"""How much speech a text may come to."""

from __future__ import annotations

import pytest

from server.embedded.service import InvalidRequestError
from server.embedded.tts.allowance import FREE_MS, MS_PER_LETTER, Allowance
from server.embedded.tts.pieces import Boundary, Piece

CHARS = 5_000  # of one request over REST


@pytest.mark.parametrize("unit", ["9", "123 ", "½", "≤≥", "%$", "#1"])
def test_a_short_request_does_not_make_hours_of_speech(unit: str) -> None:
    with pytest.raises(InvalidRequestError, match="too many digits and signs"):
        Allowance().take((unit * CHARS)[:CHARS])


@pytest.mark.parametrize(
    "text",
    [
        "9" * 500,
        "word, " * 833,
        "会议" * 2_500,
        "Call 0123 456 7890. " * 250,
        f"Title\n{'=' * 80}\nSome words of a text.\n" * 45,
        "😀" * CHARS,
    ],
)
def test_what_people_have_read_out_is(text: str) -> None:
    allowance, taken = Allowance(), 0
    for at in range(0, len(text), 500):
        allowance.take(text[at : at + 500])
        taken += 1
    assert taken == -(-len(text) // 500)


def test_signs_in_a_row_are_said_three_times() -> None:
    assert Piece("Title\n=======\n", Boundary.SENTENCE).speakable == "Title ===     "
    assert Piece("aaaaa 11111 ___________", Boundary.SENTENCE).speakable == "aaaaa 11111 ___        "
    assert Piece("Wait... what", Boundary.SENTENCE).speakable == "Wait... what"


def test_letters_that_are_spelled_take_no_longer_than_others() -> None:
    """Each `W` of a row is three syllables, and each letter of a row of Thai consonants takes a second."""
    allowance = Allowance()
    allowance.take("W" * CHARS)
    allowance.make(FREE_MS)
    allowance.make(CHARS * MS_PER_LETTER)
    with pytest.raises(InvalidRequestError, match="takes too long"):
        allowance.make(1)
