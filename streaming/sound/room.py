"""How a room carries the loudspeaker's sound to the microphone, fitted to a recording of it, so that it can be subtracted.

A subtraction leaves the user's speech as it is, other than AEC3, which also suppresses what it cannot predict. All audio is 16 kHz.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float64]

MAX_DELAY = 5_120  # samples: 320 ms, of the client's buffers and the way through the room
TAPS = 4_096  # 256 ms of the room's reflections, at most: those of a large one are still heard in pauses
SAMPLES_PER_TAP = 5  # of the recording, at least; with fewer, the fit explains that recording and no other
SEARCHED = MAX_DELAY + 1_024  # samples of the loudspeaker in which a delay is searched: more would hide it
HISTORY = MAX_DELAY + TAPS  # samples of the loudspeaker that sound in a sample of the microphone
LEAD = 32  # samples before the strongest reflection, which need not be the first
ROUNDS = 3  # of least squares, each on what the one before left; the last ones correct for the ends of the recording
STEPS = 12  # of each round towards the solution
STIFFNESS = 1e-4  # keeps frequencies that the loudspeaker hardly plays from being guessed
LEFT_SHARE = 0.3  # of the echo's energy; a fit that leaves more has not found the room
FAINT = 0.01  # of the mean level: weaker frequencies tell less of the delay
SILENCE = 1e6  # energy of a recording from which nothing can be learnt


@dataclass(frozen=True, slots=True)
class Room:
    """A delay in samples, and the reflections after it."""

    delay: int
    taps: Samples

    @classmethod
    def fit(cls, near: Samples, far: Samples, *, alone: bool = True) -> Room | None:
        """The room by a recording of the echo; None if it cannot be told. `far` begins HISTORY samples before `near`.

        If it is not of the echo `alone`, a voice in it stays, but for a share of its energy of up to 1 / SAMPLES_PER_TAP.
        """
        if far @ far < SILENCE or near @ near < SILENCE:
            return None
        delay = max(0, strongest(near, far)[0] - LEAD)
        n_taps = min(TAPS, power_of_two(len(near) // SAMPLES_PER_TAP + 1) // 2)
        room = cls(delay, np.zeros(n_taps))
        size = power_of_two(len(near) + n_taps)
        played = far[HISTORY - delay : HISTORY - delay + len(near)]
        spectrum = np.fft.rfft(played, size).conj()
        alike = np.fft.irfft(np.abs(spectrum) ** 2, size)[:n_taps]
        alike[0] *= 1 + STIFFNESS
        left = near
        for _ in range(ROUNDS):
            more = _solved(alike, np.fft.irfft(np.fft.rfft(left, size) * spectrum, size)[:n_taps])
            room = cls(delay, room.taps + more)
            left = room.residual(near, far)
        return room if not alone or left @ left < LEFT_SHARE * (near @ near) else None

    def residual(self, near: Samples, far: Samples) -> Samples:
        """`near` without the echo. `far` begins HISTORY samples before it."""
        begin, n_samples = MAX_DELAY - self.delay, TAPS + len(near)
        size = power_of_two(n_samples)
        echo = np.fft.irfft(np.fft.rfft(far[begin : begin + n_samples], size) * np.fft.rfft(self.taps, size), size)
        return near - echo[TAPS:n_samples]


def strongest(near: Samples, far: Samples) -> tuple[int, float]:
    """The delay at which most frequencies agree, and how many times as much as usual. `far` begins HISTORY samples before `near`."""
    far = far[HISTORY - SEARCHED :]
    size = power_of_two(len(far))
    cross = np.fft.rfft(near * np.hanning(len(near)), size) * np.fft.rfft(far, size).conj()
    level = np.abs(cross)
    agreement = np.abs(np.fft.irfft(cross / (level + FAINT * level.mean() + 1e-9), size))
    found = agreement[size - SEARCHED : size - SEARCHED + MAX_DELAY + 1]
    delay = int(np.argmax(found))
    return delay, float(found[delay] / (np.sqrt(np.mean(np.square(agreement))) + 1e-9))


def _solved(row: Samples, right: Samples) -> Samples:
    """The solution of the symmetric Toeplitz equations with this first row, by preconditioned conjugate gradients.

    numpy's own solver takes longer than all else here, and its threads keep every core busy.
    """
    n, at = len(row), np.arange(1, len(row))
    whole = np.fft.rfft(np.concatenate([row, row[:1], row[:0:-1]]))
    nearly = np.fft.rfft(np.concatenate([row[:1], ((n - at) * row[1:] + at * row[:0:-1]) / n])).real
    solution, left = np.zeros(n), right
    step = ahead = np.fft.irfft(np.fft.rfft(left) / nearly, n)
    for _ in range(STEPS):
        moved = np.fft.irfft(whole * np.fft.rfft(step, 2 * n), 2 * n)[:n]
        progress = left @ ahead
        width = progress / (step @ moved)
        solution, left = solution + width * step, left - width * moved
        ahead = np.fft.irfft(np.fft.rfft(left) / nearly, n)
        step = ahead + (left @ ahead) / progress * step
    return solution


def power_of_two(at_least: int) -> int:
    """The smallest one, at least so much: a size that is transformed fast."""
    return 1 << (at_least - 1).bit_length()
