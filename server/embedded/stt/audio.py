"""Resamples microphone PCM of any rate to the recogniser's 16 kHz."""

from __future__ import annotations

from av import AudioResampler
from av.audio.frame import AudioFrame

RATE_HZ = 16_000
BYTES_PER_SAMPLE = 2


class Resampler:
    """16-bit little-endian mono PCM at `rate_hz` in, at 16 kHz out. Holds a few samples back until `flush`."""

    def __init__(self, rate_hz: int) -> None:
        self._rate_hz = rate_hz
        self._engine = None if rate_hz == RATE_HZ else AudioResampler(format="s16", layout="mono", rate=RATE_HZ)

    def feed(self, pcm: bytes) -> bytes:
        """The samples that are ready; `pcm` must be whole samples."""
        if self._engine is None or not pcm:
            return pcm
        frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // BYTES_PER_SAMPLE)
        frame.sample_rate = self._rate_hz
        frame.planes[0].update(pcm)
        return _bytes(self._engine.resample(frame))

    def flush(self) -> bytes:
        """The remaining samples at the end of the audio."""
        return _bytes(self._engine.resample(None)) if self._engine is not None else b""


def _bytes(frames: list[AudioFrame]) -> bytes:
    return b"".join(bytes(frame.planes[0])[: frame.samples * BYTES_PER_SAMPLE] for frame in frames)
