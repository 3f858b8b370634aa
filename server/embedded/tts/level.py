"""Loudness: every voice alike, no clicks where pieces meet."""

from __future__ import annotations

import array
import math
import sys

TARGET_RMS = 3_000  # of 32 768: -21 dB, where most of eSpeak's voices are by themselves
MAX_PEAK = 28_000  # room for what follows in the chain
MIN_VOLUME, MAX_VOLUME = 30, 200  # percent; eSpeak distorts above
FADE_MS = 4


def samples_of(pcm: bytes) -> array.array[int]:
    """16-bit little-endian PCM as numbers."""
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def pcm_of(samples: array.array[int]) -> bytes:
    """And back."""
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    return samples.tobytes()


def volume_percent(pcm: bytes) -> int:
    """How loud a voice has to be set that spoke `pcm` at 100 percent."""
    samples = samples_of(pcm)
    rms = math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))
    if rms == 0:
        return 100
    gain = min(TARGET_RMS / rms, MAX_PEAK / max(abs(sample) for sample in samples))
    return round(min(MAX_VOLUME, max(MIN_VOLUME, 100 * gain)))


def with_soft_edges(pcm: bytes, rate_hz: int) -> bytes:
    """Faded in and out over FADE_MS: some voices start or stop in mid-wave, which clicks."""
    samples = samples_of(pcm)
    length = min(rate_hz * FADE_MS // 1000, len(samples) // 2)
    for index in range(length):
        samples[index] = samples[index] * index // length
        samples[-1 - index] = samples[-1 - index] * index // length
    return pcm_of(samples)
