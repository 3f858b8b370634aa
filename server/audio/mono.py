"""Converts frames of any format and channel count to the single channel of speech-to-text."""

from __future__ import annotations

import array
import sys
from typing import TYPE_CHECKING

from av.audio.resampler import AudioResampler

from server.audio.formats import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame

MAX_CHANNELS = 64  # the limit of FFmpeg's resampler
MAX_MIXED_CHANNELS = 8  # FFmpeg cannot mix more; the loudest channel is used instead
WINDOW_S = 0.25  # of sound, after which the channel is chosen anew
CANCELLED = 0.1  # share of the loudest channel's power; a mix below it has cancelled itself out
CLEARLY_LOUDER = 4.0  # power ratio at which another channel replaces the chosen one
_STRIDE = 7  # every seventh sample is enough to measure power


class TooManyChannelsError(ValueError):
    """More than MAX_CHANNELS."""


class Mono:
    """Converts frames of one format. If channels of opposite phase cancel each other out in the mix, uses a single channel."""

    def __init__(self, channels: int, rate_hz: int) -> None:
        if channels > MAX_CHANNELS:
            raise TooManyChannelsError(f"the audio has {channels} channels, and at most {MAX_CHANNELS} are read")
        self._channels = channels
        self._mixing = (
            AudioResampler(format="s16", layout="mono", rate=rate_hz) if channels <= MAX_MIXED_CHANNELS else None
        )
        self._keeping = AudioResampler(format="s16", rate=rate_hz) if channels > 1 else None
        self._window_bytes = int(rate_hz * WINDOW_S) * BYTES_PER_SAMPLE
        self._mixed = bytearray()
        self._all = bytearray()
        self._heard: int | None = None  # the chosen channel; None: the mix

    def convert(self, frame: AudioFrame | None) -> bytes:
        """The 16-bit little-endian PCM that is ready; None flushes the rest."""
        if self._mixing is not None:
            self._mixed += _resampled(self._mixing, frame)
        if self._keeping is None:
            mixed, self._mixed = bytes(self._mixed), bytearray()
            return mixed
        self._all += _resampled(self._keeping, frame)
        whole = len(self._all) // self._channels
        if frame is not None and whole < self._window_bytes:
            return b""
        return self._decide(whole - whole % BYTES_PER_SAMPLE)

    def _decide(self, n_bytes: int) -> bytes:
        mixed = bytes(self._mixed[:n_bytes])
        samples = _samples(bytes(self._all[: n_bytes * self._channels]))
        del self._mixed[:n_bytes], self._all[: n_bytes * self._channels]
        powers = [_power(samples[channel :: self._channels]) for channel in range(self._channels)]
        loudest = max(powers, default=0)
        if self._mixing is not None and _power(_samples(mixed)) >= CANCELLED * loudest:
            self._heard = None
            return mixed
        if self._heard is None or powers[self._heard] * CLEARLY_LOUDER < loudest:
            self._heard = powers.index(loudest)
        return _bytes(samples[self._heard :: self._channels])


def _resampled(resampler: AudioResampler, frame: AudioFrame | None) -> bytes:
    return b"".join(
        bytes(out.planes[0])[: out.samples * out.layout.nb_channels * BYTES_PER_SAMPLE]
        for out in resampler.resample(frame)
    )


def _power(samples: array.array[int]) -> int:
    """The sum, not the mean: only pieces of equal length are compared."""
    return sum(sample * sample for sample in samples[::_STRIDE])


def _samples(data: bytes) -> array.array[int]:
    samples = array.array("h", data)
    if sys.byteorder == "big":
        samples.byteswap()
    return samples


def _bytes(samples: array.array[int]) -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
