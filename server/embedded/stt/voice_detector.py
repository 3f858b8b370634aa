"""Detects speech in frames of 32 ms. Silero's detector, from faster-whisper's wheel; WebRTC's for the light engine.

Silero's detects no voice in white noise, hum, tones, music of tones, knocks and coughs made of noise, for which WebRTC's strict mode
reports speech in up to 100 % of the frames. docs/SPEECH.md has the comparison.
"""

from __future__ import annotations

import importlib
import importlib.util
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FRAME_MS = 32
FRAME_BYTES = 1024  # 512 samples of 16 kHz, 16 bit
_CONTEXT_SAMPLES = 64  # of the previous frame, which the model needs as context
_STATE = (1, 1, 128)
_WEBRTC_FRAME_BYTES = 960  # it takes frames of 10, 20 or 30 ms
_WEBRTC_STRICT = 3


class VoiceDetector(Protocol):
    """The detector of one stream."""

    def probabilities(self, pcm: bytes) -> list[float]:
        """Probability of speech in each frame; `pcm` must be whole frames."""
        ...


class Silero:
    """The model, loaded once; `stream` gives a detector for one stream."""

    def __init__(self) -> None:
        package = importlib.util.find_spec("faster_whisper")
        assert package is not None
        assert package.origin is not None
        onnxruntime: Any = importlib.import_module("onnxruntime")
        options = onnxruntime.SessionOptions()
        options.inter_op_num_threads = options.intra_op_num_threads = 1
        options.log_severity_level = 4
        path = Path(package.origin).parent / "assets" / "silero_vad_v6.onnx"
        self._session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])

    def stream(self) -> VoiceDetector:
        """A detector for one stream; 0.1 ms of CPU per frame."""
        return _SileroStream(self._session)


class _SileroStream:
    def __init__(self, session: Any) -> None:
        self._session = session
        self._h = self._c = np.zeros(_STATE, np.float32)
        self._context: NDArray[np.float32] = np.zeros(_CONTEXT_SAMPLES, np.float32)

    def probabilities(self, pcm: bytes) -> list[float]:
        if not pcm:
            return []
        frames = _floats(pcm).reshape(-1, FRAME_BYTES // 2)
        before = np.vstack([self._context, frames[:-1, -_CONTEXT_SAMPLES:]])
        self._context = frames[-1, -_CONTEXT_SAMPLES:]
        inputs = {"input": np.hstack([before, frames]), "h": self._h, "c": self._c}
        found, self._h, self._c = self._session.run(None, inputs)
        return [float(one) for one in found]


def _floats(pcm: bytes) -> NDArray[np.float32]:
    return np.divide(np.frombuffer(pcm, np.int16), 32768, dtype=np.float32)


class WebRtc:
    """The detector of the light engine."""

    def stream(self) -> VoiceDetector:
        """A detector for one stream."""
        return _WebRtcStream()


class _WebRtcStream:
    def __init__(self) -> None:
        pocketsphinx: Any = importlib.import_module("pocketsphinx")
        self._vad = pocketsphinx.Vad(_WEBRTC_STRICT, 16_000, 0.03)

    def probabilities(self, pcm: bytes) -> list[float]:
        starts = range(0, len(pcm), FRAME_BYTES)
        return [float(self._vad.is_speech(pcm[start : start + _WEBRTC_FRAME_BYTES])) for start in starts]
