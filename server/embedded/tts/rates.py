"""Resamples a piece made by another engine to the utterance's rate."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from av.audio.frame import AudioFrame
from av.audio.resampler import AudioResampler

if TYPE_CHECKING:
    from server.embedded.tts.engine import Spoken

BYTES_PER_SAMPLE = 2


def at_rate(spoken: Spoken, from_hz: int, to_hz: int) -> Spoken:
    """The same sound at another rate. Marks are times and do not change."""
    if from_hz == to_hz or not spoken.pcm:
        return spoken
    frame = AudioFrame(format="s16", layout="mono", samples=len(spoken.pcm) // BYTES_PER_SAMPLE)
    frame.sample_rate = from_hz
    frame.planes[0].update(spoken.pcm)
    resampler = AudioResampler(format="s16", layout="mono", rate=to_hz)
    frames = [*resampler.resample(frame), *resampler.resample(None)]
    return replace(spoken, pcm=b"".join(bytes(out.planes[0])[: out.samples * BYTES_PER_SAMPLE] for out in frames))
