"""A better engine for those who bring a model: faster-whisper (CTranslate2), for final transcripts. Runs in the decoder process.

Partials and endpointing stay PocketSphinx's and the VAD's: Whisper hears whole utterances only.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import math
import wave
from pathlib import Path
from typing import Any

from server.embedded.service import MissingPartError
from server.embedded.stt.audio import BYTES_PER_SAMPLE, RATE_HZ
from server.embedded.stt.transcript import HeardWord, Hypothesis

BEAM_SIZE = 5  # faster-whisper's default


def check(path: str) -> None:
    """Raises MissingPartError, with words, when the package or the model is not there."""
    if importlib.util.find_spec("faster_whisper") is None:
        raise MissingPartError("STT_MODEL_PATH is set, but faster-whisper is missing: pip install faster-whisper")
    if not (Path(path) / "model.bin").is_file():
        raise MissingPartError(f"STT_MODEL_PATH={path}: no faster-whisper model there (a folder with model.bin)")


class Whisper:
    """A loaded model."""

    def __init__(self, path: str) -> None:
        engine: Any = importlib.import_module("faster_whisper")
        self._model = engine.WhisperModel(path, device="auto", compute_type="default", local_files_only=True)

    def transcribe(self, pcm: bytes) -> Hypothesis:
        """Transcript of 16 kHz PCM, word times in milliseconds from its beginning."""
        segments, _ = self._model.transcribe(
            _wav(pcm), language="en", beam_size=BEAM_SIZE, word_timestamps=True, condition_on_previous_text=False
        )
        found = list(segments)
        words = tuple(
            HeardWord(word.word.strip(), round(word.start * 1000), round(word.end * 1000), float(word.probability))
            for segment in found
            for word in segment.words or ()
        )
        score = sum(segment.avg_logprob for segment in found) / len(found) if found else -math.inf
        return Hypothesis(words, max(score, -1e9))


def _wav(pcm: bytes) -> io.BytesIO:
    """The engine decodes files by itself, so nothing here needs numpy."""
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(BYTES_PER_SAMPLE)
        writer.setframerate(RATE_HZ)
        writer.writeframes(pcm)
    file.seek(0)
    return file
