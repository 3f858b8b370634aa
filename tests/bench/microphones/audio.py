"""A frame of this benchmark: 20 ms of audio that contains the time of sending, the sender and a number.

At 16 kHz they are its first 16 bytes. Audio at 24 kHz is resampled on the way, which changes all bytes. There each is the constant
level of a quarter of the frame, which is read in the quarter's middle: a filter only changes the first and last millisecond.
"""

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
QUARTERS = 4  # time of sending in buckets, the same in LEVELS of them, talker, number
LEVELS, LEVEL_STEP = 4_000, 16  # of a quarter; resampling changes a level by 1 or 2
_DIALECT_QUARTER = DIALECT_BYTES // QUARTERS // 2  # samples
_LEVEL = struct.Struct("<h")
# Where the quarters' middles are in a resampled frame. A frame has arrived when the last of them has.
_MIDDLES = tuple(FRAME_BYTES * (2 * quarter + 1) // (2 * QUARTERS) for quarter in range(QUARTERS))
_ENOUGH_BYTES = _MIDDLES[-1] + _LEVEL.size


def marked(talker: int, number: int) -> bytes:
    """A frame that is sent now."""
    return mark(talker, number) + _SOUND


def mark(talker: int, number: int) -> bytes:
    """The beginning of such a frame."""
    return _MARK.pack(time.monotonic_ns(), talker, number)


def dialect_marked(talker: int, number: int) -> bytes:
    """A frame of 24 kHz that is sent now."""
    at = _now()
    values = (at % LEVELS, at // LEVELS % LEVELS, talker, number % LEVELS)
    return b"".join(_LEVEL.pack((value - LEVELS // 2) * LEVEL_STEP) * _DIALECT_QUARTER for value in values)


def _now() -> int:
    return time.monotonic_ns() // (1000 * BUCKET_US)


def _levels(frame: bytearray) -> list[int]:
    """The four numbers of a resampled frame."""
    samples = (_LEVEL.unpack_from(frame, middle)[0] for middle in _MIDDLES)
    return [round(sample / LEVEL_STEP) + LEVELS // 2 for sample in samples]


class _Resampled:
    """The audio of one stream of which no frame was made yet."""

    __slots__ = ("audio", "skip")

    def __init__(self) -> None:
        self.audio = bytearray()
        self.skip = 0  # bytes of a frame that has been counted


@dataclass(slots=True)
class Tally:
    """What arrived."""

    frames: int = 0
    gaps: int = 0  # a frame whose number is not the one expected
    messages: int = 0  # of gRPC
    resampled: bool = False
    _next: dict[int, int] = field(default_factory=dict)  # talker: number of its next frame
    _ages: dict[int, int] = field(default_factory=dict)  # in buckets of 50 µs, since `restart`
    _streams: dict[int, _Resampled] = field(default_factory=dict)

    def restart(self) -> None:
        """Ages are of the frames from now on."""
        self._ages.clear()

    def take(self, audio: bytes, stream: int) -> None:
        """Any number of whole frames; if they were resampled, any number of samples."""
        if self.resampled:
            self._take_resampled(audio, self._streams.setdefault(stream, _Resampled()))
            return
        now = time.monotonic_ns()
        for start in range(0, len(audio), FRAME_BYTES):
            sent_at, talker, number = _MARK.unpack_from(audio, start)
            self._count(talker, number, number + 1, (now - sent_at) // (1000 * BUCKET_US))

    def _take_resampled(self, audio: bytes, stream: _Resampled) -> None:
        waiting = stream.audio
        waiting += audio
        now = _now()
        while len(waiting) >= stream.skip + _ENOUGH_BYTES:
            del waiting[: stream.skip]
            low, high, talker, number = _levels(waiting)
            self._count(talker, number, (number + 1) % LEVELS, (now - high * LEVELS - low) % LEVELS**2)
            stream.skip = FRAME_BYTES

    def _count(self, talker: int, number: int, following: int, age: int) -> None:
        self.frames += 1
        if self._next.get(talker, 0) != number:
            self.gaps += 1
        self._next[talker] = following
        bucket = min(BUCKETS, age)
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
