"""The features of a window: only the audio is transformed, the silence behind it is filled in."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from server.embedded.stt.engine import chosen
from server.embedded.stt.whisper import Whisper


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(Path(chosen("", "").arguments[1]))


@pytest.mark.parametrize("n_samples", [0, 3, 17, 160, 15_993, 16_033, 479_990, 500_000])
@pytest.mark.parametrize("padding_s", [2, 8])
def test_the_silence_behind_the_audio_is_that_of_a_whole_transform(
    whisper: Whisper, n_samples: int, padding_s: int
) -> None:
    samples = np.random.default_rng(0).normal(0, 0.1, n_samples).astype(np.float32)
    window = min(n_samples + padding_s * 16_000, 480_000)
    whole = np.pad(samples[:window], (0, max(0, window - n_samples)))
    expected = whisper._features(whole, padding=0)
    mel = whisper._mel(samples, window)
    assert mel.shape[1] == expected.shape[1] + expected.shape[1] % 2
    assert np.abs(mel[:, : expected.shape[1]] - expected).max() < 1e-4
