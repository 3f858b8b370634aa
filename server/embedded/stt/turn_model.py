"""Judges from the sound whether a turn is complete: smart-turn v3 or another ONNX model of its form, at TURN_MODEL_PATH.

Input `input_features`: float32 [1, 80, 800], the log-mel spectrum of the last 8 s, silence before a shorter turn, after scaling the
audio to mean 0 and variance 1. Output: the probability that the speaker has finished. So does pipecat's `LocalSmartTurnAnalyzerV3`.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from server.embedded.service import MissingPartError
from server.embedded.stt.audio import BYTES_PER_SAMPLE, RATE_HZ

WINDOW_S = 8
N_MELS, N_FRAMES = 80, 800
INPUT = "input_features"
_TINY = 1e-7  # keeps the scaling of digital silence finite


class TurnModel:
    """A loaded model; one thread per call, which may come from several threads."""

    def __init__(self, path: str) -> None:
        """Raises MissingPartError, naming TURN_MODEL_PATH, if it cannot be used."""
        try:
            onnxruntime: Any = importlib.import_module("onnxruntime")
            features: Any = importlib.import_module("faster_whisper.feature_extractor")
        except ImportError:
            raise MissingPartError(
                "TURN_MODEL_PATH needs the extra `ears`: pip install 'jarvis-gateway[ears]'"
            ) from None
        if not Path(path).is_file():
            raise MissingPartError(f"TURN_MODEL_PATH={path}: no such file")
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.log_severity_level = 4
        try:
            self._session: Any = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
        except Exception as broken:  # noqa: BLE001 - its exceptions have no common public class
            raise MissingPartError(f"TURN_MODEL_PATH={path} is not an ONNX model: {broken}") from None
        self._features: Any = features.FeatureExtractor(feature_size=N_MELS, chunk_length=WINDOW_S)
        try:
            self.complete(bytes(RATE_HZ * BYTES_PER_SAMPLE))  # the first call allocates memory
        except Exception as broken:  # noqa: BLE001 - as above
            words = f"takes no {INPUT} [1, {N_MELS}, {N_FRAMES}] or gives no probability"
            raise MissingPartError(f"TURN_MODEL_PATH={path} {words}: {broken}") from None

    def complete(self, pcm: bytes) -> float:
        """The probability that a turn with this audio so far (16 kHz, 16-bit mono) is complete. Blocks some 30 ms."""
        (found, *_) = self._session.run(None, {INPUT: self._spectrum(pcm)})
        return float(np.asarray(found).reshape(-1)[-1])

    def _spectrum(self, pcm: bytes) -> Any:
        samples = np.divide(np.frombuffer(pcm, np.int16), 32768, dtype=np.float32)[-WINDOW_S * RATE_HZ :]
        whole = np.pad(samples, (WINDOW_S * RATE_HZ - len(samples), 0))
        scaled = (whole - whole.mean()) / np.sqrt(whole.var() + _TINY)
        return self._features(scaled, padding=0)[None].astype(np.float32)
