"""Loudness: equal for all voices, and no clicks between pieces."""

from __future__ import annotations

import array
import math
import sys

TARGET_RMS = 3_000  # of 32 768: -21 dB, the level of most eSpeak voices
MAX_PEAK = 28_000  # headroom for later processing
MIN_VOLUME, MAX_VOLUME = 30, 200  # percent; above, eSpeak distorts
FADE_MS = 4


def samples_of(pcm: bytes) -> array.array[int]:
    """16-bit little-endian PCM as numbers."""
    samples = array.array("h", pcm)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def pcm_of(samples: array.array[int]) -> bytes:
    """Numbers as 16-bit little-endian PCM."""
    if sys.byteorder == "big":
        samples = array.array("h", samples)
        samples.byteswap()
    return samples.tobytes()


def volume_percent(pcm: bytes) -> int:
    """The volume for a voice that spoke `pcm` at 100 percent."""
    samples = samples_of(pcm)
    rms = math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))
    if rms == 0:
        return 100
    gain = min(TARGET_RMS / rms, MAX_PEAK / max(abs(sample) for sample in samples))
    return round(min(MAX_VOLUME, max(MIN_VOLUME, 100 * gain)))


def with_soft_edges(pcm: bytes, rate_hz: int) -> bytes:
    """Fade in and out over FADE_MS: some voices start or stop in mid-wave, which clicks."""
    samples = samples_of(pcm)
    length = min(rate_hz * FADE_MS // 1000, len(samples) // 2)
    for index in range(length):
        samples[index] = samples[index] * index // length
        samples[-1 - index] = samples[-1 - index] * index // length
    return pcm_of(samples)
