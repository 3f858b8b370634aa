"""AEC3, and what it takes from the beginning of a word that is said into the reply.

AEC3 removes the echo without a rest, but it also suppresses the first 150 ms of what is said over it: "Stop" becomes "up", or nothing.
So while the far end sounds, a quarter of a second of its output is held back. Once it lets a voice through, the beginning of that is
taken from the microphone itself, with the echo subtracted by a model of the room.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.room import HISTORY, Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Block = NDArray[np.int16]

BLOCK = SERVICE_RATE_HZ // 100  # samples: AEC3 works on 10 ms
# In blocks:
HELD = 25  # a soft consonant is up to 200 ms before what AEC3 lets through
STILL_MUTED = 25  # after that, AEC3 still suppresses some; with 15, "cancel" is heard as "can no"
TAIL = 40  # for which an echo may come back after the far end fell silent
PAUSE = 30  # without a voice; the next word's beginning is suppressed again
LEARNT, LEARNT_AT_LEAST = 150, 50  # of echo alone, from which the room is fitted
VOICE, VOICE_OF = 2, 3  # blocks with a voice, of so many
VOICE_ENERGY = 1e4  # mean square of a sample, -50 dB of full scale: the rest of an echo is weaker
VOICE_SHARE = 0.06  # of the microphone's energy: of an echo, AEC3 leaves less


class Canceller:
    """The echo canceller of one microphone. Its calls block."""

    def __init__(self) -> None:
        webrtc: Any = importlib.import_module("pywebrtc_audio")
        self._aec3 = webrtc.EchoCanceller(SERVICE_RATE_HZ, 1, 0)
        kept = HISTORY + (LEARNT + HELD + 1) * BLOCK  # with the newest block
        self._near = self._far = np.zeros(kept, np.int16)
        self._held: deque[Block] = deque()
        self._voices: deque[bool] = deque(maxlen=VOICE_OF)
        self._since_far = TAIL  # blocks since the far end sounded
        self._since_voice = PAUSE
        self._alone = 0  # blocks of the far end alone, up to now
        self._speaks = False  # a voice is let through
        self._restored = 0  # blocks of it, since it was noticed
        self._room: Room | None = None

    def process(self, near: bytes, far: bytes) -> bytes:
        """Cancel the echo in whole blocks. What is held back comes with later ones."""
        sides = (np.frombuffer(side, "<i2").reshape(-1, BLOCK) for side in (near, far))
        return b"".join(block.tobytes() for pair in zip(*sides, strict=True) for block in self._block(*pair))

    def rest(self) -> bytes:
        """What is still held back."""
        held = b"".join(block.tobytes() for block in self._held)
        self._held.clear()
        return held

    def _block(self, near: Block, far: Block) -> list[Block]:
        clean: Block = self._aec3.process(near, far)
        self._near, self._far = np.append(self._near[BLOCK:], near), np.append(self._far[BLOCK:], far)
        self._since_far = 0 if far.any() else self._since_far + 1
        voice = _energy(clean) > max(VOICE_ENERGY, VOICE_SHARE * _energy(near))
        self._voices.append(voice)
        self._since_voice = 0 if voice else self._since_voice + 1
        self._held.append(clean)
        if self._since_far >= TAIL:
            self._speaks, self._alone = False, 0
            return self._released()
        if self._speaks:
            self._speaks = self._since_voice < PAUSE
            self._restored += 1
            return self._released(restored=self._restored <= STILL_MUTED)
        self._alone += 1
        if sum(self._voices) >= VOICE:
            self._learn()
            self._speaks, self._alone, self._restored = True, 0, 0
            return self._released(restored=True)
        return [self._held.popleft()] if len(self._held) > HELD else []

    def _released(self, *, restored: bool = False) -> list[Block]:
        """All that is held; `restored`: from the microphone, if the room is known."""
        blocks = list(self._held)
        self._held.clear()
        if not restored or self._room is None:
            return blocks
        n_samples = len(blocks) * BLOCK
        near, far = self._near[-n_samples:], self._far[-n_samples - HISTORY :]
        residual = self._room.residual(near.astype(np.float64), far.astype(np.float64))
        return [np.clip(np.rint(residual), -32_768, 32_767).astype("<i2")]

    def _learn(self) -> None:
        """Fit the room to the echo before what is held. If there was too little, it is still as it was."""
        learnt = min(LEARNT, self._alone - len(self._held))
        if learnt < LEARNT_AT_LEAST:
            return
        end = len(self._near) - len(self._held) * BLOCK
        begin = end - learnt * BLOCK
        near, far = self._near[begin:end], self._far[begin - HISTORY : end]
        self._room = Room.fit(near.astype(np.float64), far.astype(np.float64))


def _energy(block: Block) -> float:
    return float(np.mean(np.square(block, dtype=np.float64)))
