"""Removes the reply's own sound from the microphone, for clients without echo cancellation. WebRTC's AEC3, off the event loop.

The far end is what the client played, by the playout cursor. AEC3 itself finds the delay through the room, if it is steady.
"""

from __future__ import annotations

import asyncio
import importlib.util
from enum import Enum
from functools import cache
from math import inf
from typing import TYPE_CHECKING

from streaming.ports import ServiceError
from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.filters import AudioFilter
from streaming.sound.pcm import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.sound.canceller import Canceller
    from streaming.sound.ffmpeg import Resampler

PARTS = ("numpy", "pywebrtc_audio")
BLOCK_BYTES = SERVICE_RATE_HZ // 100 * BYTES_PER_SAMPLE  # AEC3 works on blocks of 10 ms
# Between what was read and what the client plays; less is jitter of its reports, and a jump costs AEC3 a second.
MAX_DRIFT_MS = 120
# A busy client sends all its reports of some time, and then what was recorded in it, or the other way round. So a drift must last
# for so much of the microphone's audio; reports that are earlier by still more mean that nothing was recorded.
JUMP_AFTER_MS, MAX_EARLY_MS = 300, 900
BYTES_PER_MS = SERVICE_RATE_HZ // 1000 * BYTES_PER_SAMPLE
MOST_SENT_MS = 5_000  # of audio that no microphone has asked for
KEPT_SENT_MS = 4_000  # of it, where nobody knows what is played: more than a client is ahead
AHEAD_MS = 20  # of what was played, as reports may be late: no echo comes before its sound
LATE_BYTES = 1_000 * BYTES_PER_MS  # of audio that was played and may be asked for once more


class EchoState(Enum):
    """Of the loudspeaker's sound at the microphone."""

    NOT_FOUND = "not found"
    APPEARS = "appears"  # a moment ago: some of it may be heard
    TAKEN_OUT = "taken out"


class FarEnd:
    """What the client's loudspeaker plays, at the microphone's rate.

    Reports and audio of the microphone come in the order in which the client sent them. So between two reports, what was recorded
    tells how much was played: a clock here would also count what the network holds up.
    `guesses`: a client that does not report is taken to play as it receives. Else nothing is known of what it plays.
    """

    def __init__(self, *, guesses: bool = True) -> None:
        self._guesses = guesses
        self._sent = bytearray()  # not resampled yet
        self._pcm = bytearray()
        self._dropped = 0  # bytes that were before `_pcm`
        self._read: int | None = None
        self._heard = 0  # bytes of the microphone
        self._adrift = 0  # of them, since what is read differs much from what the client plays
        self._reported: float | None = None  # milliseconds played, at the last report
        # `_heard` when reports began to come long before or after what was recorded meanwhile.
        self._adrift_from: int | None = None
        # Of the reports that come with no audio between them: `_heard`, what was to be expected then, and how near to it one was.
        self._burst_at, self._expected_ms, self._nearest_ms = -1, 0.0, inf
        self._guessed = False  # that it is played at once: no report has come
        self._known = 0.0, 0  # milliseconds played, and `_heard` then
        self._sent_bytes = 0  # of the utterance
        self._resampler: Resampler | None = None
        self._rate_hz = 0

    @property
    def silent(self) -> bool:
        """True while there is no utterance of which it is known how far it is played."""
        return self._reported is None

    def _played_ms(self) -> float:
        played_ms, heard = self._known
        played_ms += (self._heard - heard) / BYTES_PER_MS
        sent_ms = self._sent_bytes / BYTES_PER_SAMPLE * 1000 / self._rate_hz
        if played_ms > sent_ms:  # it waits for more, and plays that at once
            self._known = sent_ms, self._heard
        return min(played_ms, sent_ms)

    def begin(self, rate_hz: int) -> None:
        """Start an utterance."""
        self.end()
        self._rate_hz = rate_hz
        self._dropped = self._sent_bytes = 0

    def report(self, played_ms: float) -> None:
        """Take how much of it the client has played. The same once more tells nothing: its reports may have got stuck."""
        fresh = self._reported is None or self._guessed
        if not fresh and played_ms <= (self._reported or 0.0):
            return
        self._guessed = False
        self._reported = played_ms
        if fresh:
            self._take_as_known(played_ms)
            return
        if self._burst_at != self._heard:
            self._burst_at, self._expected_ms, self._nearest_ms = self._heard, self._played_ms(), inf
        early_ms = played_ms - self._expected_ms
        if abs(early_ms) <= MAX_DRIFT_MS:
            self._adrift_from = None
            if abs(early_ms) < self._nearest_ms:
                self._nearest_ms, self._known = abs(early_ms), (played_ms, self._heard)
        elif early_ms > MAX_EARLY_MS:
            self._take_as_known(played_ms)
        elif self._adrift_from is None:
            self._adrift_from = self._heard
        elif self._heard - self._adrift_from > JUMP_AFTER_MS * BYTES_PER_MS:
            self._take_as_known(played_ms)

    def _take_as_known(self, played_ms: float) -> None:
        self._known, self._adrift_from, self._read = (played_ms, self._heard), None, None
        self._burst_at, self._expected_ms, self._nearest_ms = self._heard, played_ms, 0.0

    def add(self, pcm: bytes) -> None:
        """Add audio before it is sent."""
        if self._guesses and self._reported is None:
            self.report(0.0)
            self._guessed = True
        self._sent += pcm
        self._sent_bytes += len(pcm)
        if len(self._sent) <= MOST_SENT_MS * self._rate_hz // 1000 * BYTES_PER_SAMPLE:
            return
        if self._reported is None:
            old_ms = MOST_SENT_MS - KEPT_SENT_MS
            del self._sent[: old_ms * self._rate_hz // 1000 * BYTES_PER_SAMPLE]
            self._dropped += old_ms * BYTES_PER_MS
        else:
            self._resample()  # nobody reads: keep what was played lately

    def end(self) -> None:
        """The utterance ended or was stopped."""
        self._sent.clear()
        self._pcm.clear()
        self._resampler = self._reported = self._adrift_from = None
        self._guessed = False

    def take(self, n_bytes: int) -> bytes:
        """What was played while `n_bytes` were recorded; silence if nothing was."""
        if self._reported is None:
            return bytes(n_bytes)
        self._heard += n_bytes
        self._resample()
        end = round(self._played_ms() + AHEAD_MS) * BYTES_PER_MS
        drifts = self._read is not None and abs(end - (self._read + n_bytes)) > MAX_DRIFT_MS * BYTES_PER_MS
        self._adrift = self._adrift + n_bytes if drifts else 0
        if self._read is None or self._adrift > JUMP_AFTER_MS * BYTES_PER_MS:
            self._read, self._adrift = max(self._dropped, end - n_bytes), 0
        start = self._read - self._dropped
        taken = bytes(self._pcm[start : start + n_bytes])
        self._read += n_bytes
        return taken.ljust(n_bytes, b"\0")

    def _resample(self) -> None:
        if self._sent:
            if self._resampler is None:
                from streaming.sound import ffmpeg  # noqa: PLC0415 - see `codecs`

                self._resampler = ffmpeg.Resampler(SERVICE_RATE_HZ)
            self._pcm += self._resampler.feed_pcm(bytes(self._sent), self._rate_hz)
            self._sent.clear()
            played = round(max(self._played_ms(), self._reported or 0.0)) * BYTES_PER_MS
            old = min(played, max(self._read or 0, played - LATE_BYTES)) - LATE_BYTES - self._dropped
            if old > LATE_BYTES:
                del self._pcm[:old]
                self._dropped += old


@cache
def installed() -> bool:
    """Whether echoes can be taken out here."""
    return None not in map(importlib.util.find_spec, PARTS)


def far_end(*, asked_for: bool) -> FarEnd | None:
    """For a microphone that may hear it; None if its echo cannot be taken out, and nobody asked for that."""
    return FarEnd(guesses=asked_for) if asked_for or installed() else None


class EchoFilter(AudioFilter):
    """Takes the far end out of microphone audio where it comes back: 22 ms per second of audio, or 6 where it does not, while it sounds.

    `expected`: the client asked for it. Raises ServiceError then if AEC3 is not installed.
    """

    def __init__(self, far_end: FarEnd, send: Callable[[bytes], None], *, expected: bool = True) -> None:
        if expected and not installed():
            words = "echo cancellation is not installed here: the extra `echo` brings it"
            raise ServiceError("UNIMPLEMENTED", words)
        super().__init__(send)
        self._canceller: Canceller | None = None  # made by the first audio
        self._far_end = far_end
        self._resting = True  # audio may pass by the canceller
        self._near = bytearray()  # less than a block
        self._far = bytearray()  # for it, and for all that waits

    @property
    def state(self) -> EchoState:
        """Whether an echo comes back."""
        if self._canceller is None or not self._canceller.cancels:
            return EchoState.NOT_FOUND
        return EchoState.APPEARS if self._canceller.appears else EchoState.TAKEN_OUT

    def feed(self, pcm: bytes) -> None:
        """Add a frame that was just recorded."""
        if self._resting and self._far_end.silent:
            self._send(pcm)
            return
        self._resting = False
        self._far += self._far_end.take(len(pcm))
        super().feed(pcm)

    def then(self, act: Callable[[], None]) -> None:
        """Call `act` when all audio up to here was sent."""
        if self._resting:
            act()
        else:
            super().then(act)

    async def _pass_on(self, pcm: bytes) -> None:
        """Filter whole blocks in a thread."""
        self._near += pcm
        blocks = len(self._near) // BLOCK_BYTES * BLOCK_BYTES
        near, far = bytes(self._near[:blocks]), bytes(self._far[:blocks])
        del self._near[:blocks], self._far[:blocks]
        if near:
            self._pass(await asyncio.to_thread(self._filtered, near, far))
        if not self._queue and self._far_end.silent and self._canceller is not None and self._canceller.resting:
            self._send_begun()
            self._resting = True

    async def _send_rest(self) -> None:
        if self._canceller is not None:
            self._pass(await asyncio.to_thread(self._canceller.rest))  # it may fit a room
        self._send_begun()

    def _send_begun(self) -> None:
        """Less than a block: unfiltered."""
        rest = bytes(self._near)
        self._near.clear()
        del self._far[: len(rest)]  # what follows belongs to audio that waits
        self._pass(rest)

    def _pass(self, pcm: bytes) -> None:
        if pcm:
            self._send(pcm)

    def _filtered(self, near: bytes, far: bytes) -> bytes:
        if self._canceller is None:
            self._canceller = _new_canceller()
        return self._canceller.process(near, far)


def _new_canceller() -> Canceller:
    """Loading the libraries takes 0.1 s the first time."""
    from streaming.sound.canceller import Canceller  # noqa: PLC0415 - needs the extra `echo`

    return Canceller()
