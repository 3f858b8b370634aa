"""The features of a window: only the audio is transformed, the silence behind it is filled in."""

from __future__ import annotations

import numpy as np
import pytest

from server.embedded.stt import weights
from server.embedded.stt.pause import OPEN_MS, silence_needed_ms
from server.embedded.stt.transcript import Job
from server.embedded.stt.whisper import LEAD_FROM_MS, LEAD_MS, Whisper
from tests.server.embedded.speech import folded, recording


@pytest.fixture(scope="module")
def whisper() -> Whisper:
    return Whisper(weights.bundled())


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


def test_the_silence_put_before_an_utterance_moves_no_word(whisper: Whisper) -> None:
    spoken = recording("flite-slt-list-files")[32 * 400 :]
    assert len(spoken) >= 32 * LEAD_FROM_MS
    (heard,) = whisper.decode([Job(spoken, final=True)])
    (later,) = whisper.decode([Job(bytes(32 * LEAD_MS) + spoken, final=True)])
    assert folded(heard.text) == folded(later.text) == "list files in the current directory"
    moved = [two.start_ms - one.start_ms for one, two in zip(heard.words, later.words, strict=True)][1:]
    assert all(abs(ms - LEAD_MS) <= 60 for ms in moved)
    assert 0 <= heard.words[0].start_ms <= heard.words[-1].end_ms <= len(spoken) // 32


def test_a_word_of_the_vocabulary_is_as_sure_as_the_vocabulary_makes_it(whisper: Whisper) -> None:
    """It is written as there: Whisper by itself would write "10"."""
    (heard,) = whisper.decode([Job(recording("human-goforward"), True, ("go forward ten meters",))])
    assert folded(heard.text) == "go forward ten meters"
    assert {word.text: word.confidence for word in heard.words}["ten"] > 0.5


def test_the_cut_of_a_repetition_leaves_no_comma_which_would_ask_for_a_long_pause(whisper: Whisper) -> None:
    """ "Stop, stop." is first seen as "Stop,", which is no sentence that goes on."""
    samples = np.frombuffer(recording("flite-kal-stop"), np.int16)
    loud = np.flatnonzero(np.abs(samples.astype(int)) > 1000)
    word = samples[loud[0] - 1600 : loud[-1] + 1600]
    (seen,) = whisper.decode([Job(np.tile(word, 2).tobytes(), final=True)])
    assert (seen.text, seen.doubtful) == ("Stop", True)
    assert silence_needed_ms(seen.text) < OPEN_MS
