"""A caller's wishes about endpointing, within the recogniser's bounds."""

from __future__ import annotations

import pytest

from protos import stt_pb2
from server.embedded.stt.config import MAX_SILENCE_MS, MAX_THRESHOLD, MIN_THRESHOLD, InvalidConfigError, checked
from server.embedded.stt.pause import COMPLETE_MS, OPEN_MS


def settings(**tuning: float) -> stt_pb2.RecognizeConfig:
    return stt_pb2.RecognizeConfig(sample_rate_hz=16_000, tuning=stt_pb2.Endpointing(**tuning))  # type: ignore[arg-type]


def test_without_wishes_the_words_decide() -> None:
    own = checked(stt_pb2.RecognizeConfig(sample_rate_hz=16_000))
    assert own == checked(settings())
    assert own.threshold == 0.5
    assert [own.silence_ms(ms) for ms in (COMPLETE_MS, OPEN_MS)] == [COMPLETE_MS, OPEN_MS]


def test_wishes_steer_the_silence_within_bounds() -> None:
    hasty, slow = checked(settings(patience=0.5)), checked(settings(least_silence_ms=900))
    assert [hasty.silence_ms(ms) for ms in (COMPLETE_MS, OPEN_MS)] == [COMPLETE_MS // 2, OPEN_MS // 2]
    assert [slow.silence_ms(ms) for ms in (COMPLETE_MS, OPEN_MS)] == [900, OPEN_MS]
    assert checked(settings(least_silence_ms=60_000)).silence_ms(COMPLETE_MS) == MAX_SILENCE_MS
    assert checked(settings(patience=10)).silence_ms(OPEN_MS) == MAX_SILENCE_MS
    assert [checked(settings(threshold=value)).threshold for value in (0.01, 1)] == [MIN_THRESHOLD, MAX_THRESHOLD]


@pytest.mark.parametrize("tuning", [{"threshold": 1.1}, {"threshold": -1}, {"patience": -1}, {"patience": 11}])
def test_wishes_that_make_no_sense_are_refused(tuning: dict[str, float]) -> None:
    with pytest.raises(InvalidConfigError, match=rf"tuning\.{next(iter(tuning))}"):
        checked(settings(**tuning))
