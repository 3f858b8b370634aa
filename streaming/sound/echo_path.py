"""Tells whether the loudspeaker's sound comes back into the microphone at all: with headphones it does not. All audio is 16 kHz."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING

import numpy as np

from streaming.sound.room import HISTORY, power_of_two, strongest

if TYPE_CHECKING:
    from streaming.sound.room import Samples

LOOK = 3_200  # samples of the microphone in one look: 200 ms
TAPS, LEAD = 64, 16  # samples of the way that one look fits, and those of them before its strongest reflection
STIFFNESS = 1e-3  # of that fit
# Mean squares of a sample, -65 and -50 dB of full scale: an echo in which no voice is heard; what is softer than a voice.
QUIET, LOW = 3e2, 1e4
# Of a look's energy, what comes from the loudspeaker. Chance explains 0.25 of a voice in one look of a hundred.
ECHO_SHARE = 0.4
CLEAR = 12.0  # agreement that is seldom chance
SAME_DELAY = 16  # samples by which the delays of two looks may differ
APART = 4  # looks between two that do not overlap
# Of the loudspeaker without an echo, after which there is none: if nothing was known, and if there was one.
NONE_AFTER_MS, GONE_AFTER_MS = 500, 2_000


class EchoPath:
    """What is known of one microphone. `found`: True, False, or None as long as it is not known."""

    def __init__(self, *, found: bool | None) -> None:
        self.found = found
        self._delays: deque[int | None] = deque(maxlen=APART + 1)
        self._most: int | None = None  # the delay of the last look, if most of it was an echo
        self._without_ms = 0

    @property
    def mostly_echo(self) -> bool:
        """True if the last look saw little else."""
        return self._most is not None

    def look(self, near: Samples, far: Samples, after_ms: int) -> None:
        """Look at LOOK samples of the microphone, so long after the last look. `far` begins HISTORY samples before `near`."""
        if np.mean(np.square(far)) < LOW:
            return  # nothing can come back
        level = np.mean(np.square(near))
        if level < QUIET:
            self._delays.append(None)
            self._most = None
            self._miss(after_ms)
            return
        delay, agreement = strongest(near, far)
        clear = agreement > CLEAR
        mostly = clear and _share(near, far, delay) > ECHO_SHARE
        if any(clear and one is not None and abs(delay - one) <= SAME_DELAY for one in self._earlier(mostly=mostly)):
            self.found, self._without_ms = True, 0
        elif self.found is None or (not clear and level < LOW):  # a voice would hide it
            self._miss(after_ms)
        self._delays.append(delay if clear else None)
        self._most = delay if mostly else None

    def _earlier(self, *, mostly: bool) -> tuple[int | None, ...]:
        """Delays, one of which must be that of this look: of the last one if most of both is an echo, else of one that does not overlap."""
        apart = self._delays[0] if len(self._delays) > APART else None
        return (self._most if mostly else None, apart)

    def _miss(self, ms: int) -> None:
        self._without_ms += ms
        if self._without_ms >= (NONE_AFTER_MS if self.found is None else GONE_AFTER_MS):
            self.found, self._without_ms = False, 0


def _share(near: Samples, far: Samples, delay: int) -> float:
    """The share of the microphone's energy that a short way with about this delay explains. Of the differences, as voices differ more in these."""
    start = HISTORY - max(0, delay - LEAD) - TAPS
    heard, played = np.diff(near, prepend=near[:1]), np.diff(far[start : start + TAPS + len(near)], prepend=0.0)
    size = power_of_two(len(played))
    spectrum = np.fft.rfft(played[TAPS:], size)
    alike = np.fft.irfft(np.abs(spectrum) ** 2, size)[:TAPS]
    alike[0] = alike[0] * (1 + STIFFNESS) + 1
    right = np.fft.irfft(np.fft.rfft(heard, size) * spectrum.conj(), size)[:TAPS]
    at = np.arange(TAPS)
    taps = np.linalg.solve(alike[np.abs(at[:, None] - at)], right)
    left = heard - np.convolve(played, taps)[TAPS : TAPS + len(heard)]
    return float(1 - (left @ left) / (heard @ heard + 1))
