from __future__ import annotations

import pytest

from streaming.ports import Word
from streaming.sound.playout import REPORT_TRUST_MS, PlayoutCursor, heard_text


def cursor_with(sent_ms: float, at: float = 0.0, lead_ms: int = 1000) -> PlayoutCursor:
    cursor = PlayoutCursor(lead_ms)
    cursor.sent(sent_ms, at)
    return cursor


def test_nothing_is_played_before_anything_was_sent() -> None:
    cursor = PlayoutCursor()
    cursor.report(500, 1.0)
    assert cursor.played_ms(2.0) == 0.0
    assert cursor.wait_s(2.0) == 0.0


def test_a_silent_client_plays_in_real_time_from_the_first_frame() -> None:
    cursor = cursor_with(2000, at=10.0)
    assert cursor.played_ms(10.5) == 500
    assert cursor.played_ms(99.0) == 2000


def test_a_report_is_believed_and_extrapolated_for_a_moment_only() -> None:
    cursor = cursor_with(5000)
    cursor.report(300, 2.0)
    assert cursor.played_ms(2.0) == 300
    assert cursor.played_ms(2.2) == pytest.approx(500)
    assert cursor.played_ms(60.0) == 300 + REPORT_TRUST_MS


def test_a_report_cannot_exceed_what_was_sent_nor_go_back() -> None:
    cursor = cursor_with(1000)
    cursor.report(9000, 0.5)
    assert cursor.played_ms(0.5) == 1000
    cursor.report(10, 0.6)
    assert cursor.played_ms(0.6) == 1000


def test_there_is_room_up_to_the_safe_position_at_any_time() -> None:
    cursor = PlayoutCursor(1000)
    cursor.sent(1000, 0.0)
    assert cursor.safe_ms == 1000
    cursor.report(300, 0.4)
    assert cursor.safe_ms == 1300
    assert cursor.has_room(300, 0.4)
    assert not cursor.has_room(301, 0.4)
    moved = PlayoutCursor(1000)
    moved.went_on(500, 9.0, reported=True)
    assert moved.safe_ms == 1500
    silent = PlayoutCursor(1000)
    silent.went_on(500, 9.0, reported=False)
    assert silent.safe_ms == 1000


def test_a_frame_waits_until_the_lead_allows_it() -> None:
    cursor = cursor_with(1500, at=0.0, lead_ms=1000)
    assert cursor.wait_s(0.0) == pytest.approx(0.5)
    assert cursor.wait_s(0.5) == 0.0
    assert cursor.remaining_s(0.5) == pytest.approx(1.0)


WORDS = [Word("Your", 0, 200), Word("favourite", 200, 700), Word("colour", 700, 1000), Word("is", 1000, 1100)]


@pytest.mark.parametrize(
    ("played_ms", "heard"),
    [(0, ""), (99, ""), (100, "Your"), (449, "Your"), (450, "Your favourite"), (5000, "Your favourite colour is")],
)
def test_a_word_counts_as_heard_from_its_middle_on(played_ms: int, heard: str) -> None:
    assert heard_text("Your favourite colour is blue.", WORDS, played_ms) == heard


def test_repeated_words_are_found_in_order() -> None:
    words = [Word("no", 0, 100), Word("no", 100, 200), Word("no", 200, 300)]
    assert heard_text("no, no, no!", words, 160) == "no, no"


def test_without_word_times_nothing_is_claimed() -> None:
    assert heard_text("anything", [], 10_000) == ""
