"""A frame of this benchmark: 20 ms of audio whose first 16 bytes contain the time of sending, the sender and a number."""

from __future__ import annotations

import os
import struct
import time
from dataclasses import dataclass, field

FRAME_BYTES, FRAME_S = 640, 0.02  # 16 kHz, 16 bit, one channel
DIALECT_BYTES = 960  # the same time in OpenAI's dialect: 24 kHz
_MARK = struct.Struct("<qII")  # nanoseconds of the machine's monotonic clock, talker, number
_SOUND = os.urandom(FRAME_BYTES - _MARK.size)
BUCKET_US = 50
BUCKETS = 200_000  # ten seconds


def marked(talker: int, number: int) -> bytes:
    """A frame that is sent now."""
    return mark(talker, number) + _SOUND


def mark(talker: int, number: int) -> bytes:
    """The beginning of such a frame."""
    return _MARK.pack(time.monotonic_ns(), talker, number)


@dataclass(slots=True)
class Tally:
    """What arrived."""

    frames: int = 0
    gaps: int = 0  # a frame whose number is not the one expected
    messages: int = 0  # of gRPC
    counts_bytes: bool = False  # True: the audio was resampled on the way, so it has no marks
    _bytes: int = 0
    _next: dict[int, int] = field(default_factory=dict)  # talker: number of its next frame
    _ages: dict[int, int] = field(default_factory=dict)  # in buckets of 50 µs, since `restart`

    def restart(self) -> None:
        """Ages are of the frames from now on."""
        self._ages.clear()

    def take(self, audio: bytes) -> None:
        """Any number of whole frames."""
        if self.counts_bytes:
            self._bytes += len(audio)
            self.frames = self._bytes // FRAME_BYTES
            return
        now = time.monotonic_ns()
        for start in range(0, len(audio), FRAME_BYTES):
            sent_at, talker, number = _MARK.unpack_from(audio, start)
            self.frames += 1
            if self._next.get(talker, 0) != number:
                self.gaps += 1
            self._next[talker] = number + 1
            bucket = min(BUCKETS, (now - sent_at) // (1000 * BUCKET_US))
            self._ages[bucket] = self._ages.get(bucket, 0) + 1

    def ages_ms(self, *shares: float) -> list[float]:
        """Percentiles (0 to 1) of the ages, rounded up to 50 µs."""
        total, ordered = sum(self._ages.values()), sorted(self._ages.items())
        return [_at(ordered, share * total) for share in shares]


def _at(ordered: list[tuple[int, int]], rank: float) -> float:
    seen = 0
    for bucket, number in ordered:
        seen += number
        if seen >= rank:
            return (bucket + 1) * BUCKET_US / 1000
    return float("nan")
