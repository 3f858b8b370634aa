"""The position from which a microphone's audio would be needed again."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.sound.trail import PREROLL_MS, SILENCE_KEPT_MS, STEP_MS, UNCERTAIN_KEPT_MS, Trail

FRAME_MS = 20


def fed(until_ms: int, trail: Trail | None = None, first: int = 0) -> Trail:
    trail = trail or Trail()
    for number in range(first, first + until_ms // FRAME_MS):
        trail.add(number, (number - first) * FRAME_MS, (number - first) * 640)
    return trail


def test_before_the_first_frame_nothing_is_needed() -> None:
    trail = Trail(500.0)
    assert trail.needed is None
    assert trail.needed_at_ms == 500.0


def test_in_silence_the_last_second_or_so_is_needed() -> None:
    trail = fed(10_000)
    trail.listened(9_980)
    needed = trail.needed
    assert needed is not None
    assert SILENCE_KEPT_MS <= 9_980 - needed.at_ms <= SILENCE_KEPT_MS + STEP_MS
    assert (needed.at_ms, needed.payload_bytes) == (needed.frame * FRAME_MS, needed.frame * 640)


def test_what_came_faster_than_it_was_listened_to_is_needed() -> None:
    trail = fed(3_000)
    assert trail.needed is not None
    assert trail.needed.frame == 0  # nobody said how far it was listened to
    trail.listened(1_400)
    assert trail.needed.at_ms <= 1_400 - SILENCE_KEPT_MS
    trail.speech_started(1_500)
    trail.listened(2_900)
    assert trail.needed.at_ms <= 1_500 - PREROLL_MS


def test_of_a_recogniser_that_tells_nothing_the_last_seconds_are_needed() -> None:
    needed = fed(60_000).needed
    assert needed is not None
    assert UNCERTAIN_KEPT_MS <= 59_980 - needed.at_ms <= UNCERTAIN_KEPT_MS + STEP_MS


def test_speech_is_needed_from_a_little_before_it_until_it_is_final() -> None:
    trail = fed(3_000)
    trail.speech_started(2_500)
    for number in range(150, 500):
        trail.add(number, number * FRAME_MS, number * 640)
    assert trail.needed is not None
    assert 2_500 - PREROLL_MS - STEP_MS <= trail.needed.at_ms <= 2_500 - PREROLL_MS
    trail.utterance_ended(9_500)
    assert trail.needed.at_ms >= 9_500


def test_times_go_on_from_where_another_replica_stood() -> None:
    trail = fed(3_000, Trail(60_000.0), first=3_000)
    assert trail.needed is not None
    assert trail.needed.at_ms - 60_000 == (trail.needed.frame - 3_000) * FRAME_MS


@given(st.lists(st.sampled_from(["frame", "speech", "final"]), max_size=400))
def test_it_never_goes_back_behind_what_is_final_nor_grows_without_end(happenings: list[str]) -> None:
    trail, number, done_ms = Trail(), 0, 0.0
    for happening in happenings:
        now_ms = number * FRAME_MS
        if happening == "frame":
            trail.add(number, now_ms, 0)
            number += 1
        elif happening == "speech":
            trail.speech_started(now_ms)
        else:
            trail.utterance_ended(now_ms)
            done_ms = now_ms
        if trail.needed is not None and len(trail._positions) > 1:
            assert trail.needed.at_ms >= done_ms or trail.needed is trail._positions[-1]
