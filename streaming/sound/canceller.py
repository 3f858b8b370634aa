"""The echo canceller of one microphone: the microphone itself where nothing comes back, else AEC3 and what that takes from the user.

AEC3 removes an echo without a rest. But it also suppresses the first 150 ms of what is said over the far end, be there an echo or none:
"Stop" becomes "up", or nothing. So it is used only where an echo is found. There, while the far end sounds, a quarter of a second of its
output is held back. Once it lets a voice through, the beginning of that is taken from the microphone itself, with the echo subtracted
by a model of the room.
"""

from __future__ import annotations

import importlib
from collections import deque
from typing import TYPE_CHECKING, Any

import numpy as np

from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.echo_path import LOOK, EchoPath
from streaming.sound.room import HISTORY, Room

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from streaming.sound.room import Samples

    Block = NDArray[np.int16]

BLOCK = SERVICE_RATE_HZ // 100  # samples: AEC3 works on 10 ms
# In blocks:
LOOK_EVERY, LOOK_SELDOM = 5, 20  # the latter where it is known for some time whether there is an echo
SURE = 300  # of the far end without an echo
WAITS = 40  # for an echo to be found, or not: 200 ms until it is back, and as much to look at
HELD = 25  # a soft consonant is up to 200 ms before what AEC3 lets through
STILL_MUTED = 25  # after that, AEC3 still suppresses some; with 15, "cancel" is heard as "can no"
TAIL = 40  # for which an echo may come back after the far end fell silent
PAUSE = 30  # without a voice; the next word's beginning is suppressed again
LEARNT, LEARNT_AT_LEAST = 150, 50  # of echo alone, from which the room is fitted
SELDOM = 200  # between two fits of a room that cannot be told
VOICE, VOICE_OF = 2, 3  # blocks with a voice, of so many
VOICE_ENERGY = 1e4  # mean square of a sample, -50 dB of full scale: the rest of an echo is weaker
VOICE_SHARE = 0.06  # of the microphone's energy: of an echo, AEC3 leaves less
EXPLAINED = 0.4  # of the microphone's energy, left by the room: with an echo alone up to 0.2, with a voice from 0.8
LATELY, FAINT = 40, 0.25  # blocks; of the loudest one's energy: reflections while the room is not known well
WORSE = 2.0  # times as much of the echo left as when the room was fitted: it has changed
SILENCE = np.zeros(BLOCK, np.int16)
# Of a new echo: some may be heard, and AEC3 still learns, so that it lets some through.
APPEARS, LEARNS = 100, 150
TRIAL = 10  # blocks between two trial fits of its room, 10 to 40 ms of CPU each
TRIED = 60  # blocks held back for them
UNEXPLAINED = 0.5  # of the energy of so many blocks, left by a trial fit: with an echo alone in a large room up to 0.4
ONSET = 15  # blocks before the first of these, in which a voice may begin


class Canceller:
    """Its calls block. The beginning of the first speech is held back until it is known whether it comes back."""

    def __init__(self) -> None:
        self._path = EchoPath(found=None)
        self._aec3: Any = None  # made when an echo is found
        kept = HISTORY + (LEARNT + HELD + 1) * BLOCK  # with the newest block
        self._near = self._far = np.zeros(kept, np.int16)
        self._held: deque[Block] = deque()
        self._voices: deque[bool] = deque(maxlen=VOICE_OF)
        self._since_far = TAIL  # blocks since the far end sounded
        self._since_look = 0
        self._since_voice = PAUSE
        self._alone = 0  # blocks of the far end alone, up to now
        self._speaks = False  # a voice is let through
        self._restored = 0  # blocks of it, since it was noticed
        self._room: Room | None = None
        self._left_share = 0.0  # of the echo that it was fitted to
        self._learnt = 0  # blocks of that
        self._sounded = 0  # blocks of the far end since an echo appeared
        self._known_before = 0  # blocks of that echo before it was found
        self._unheard = 0  # blocks of the far end that did not come back
        self._surprised = False  # the echo was heard before it was found

    @property
    def cancels(self) -> bool:
        """False while the microphone is passed on as it is."""
        return self._path.found is True

    @property
    def appears(self) -> bool:
        """True if there is a new echo, of which some may be heard."""
        return self.cancels and self._surprised and self._sounded < APPEARS

    @property
    def _learns(self) -> bool:
        return self.cancels and self._sounded < LEARNS

    @property
    def _is_new(self) -> bool:
        """True while neither AEC3 nor the room is to be relied on."""
        return self._learns and self._room is None

    @property
    def resting(self) -> bool:
        """True if nothing is held back and no echo can come."""
        return self._since_far >= TAIL and not self._held

    def process(self, near: bytes, far: bytes) -> bytes:
        """Cancel the echo in whole blocks. What is held back comes with later ones."""
        sides = (np.frombuffer(side, "<i2").reshape(-1, BLOCK) for side in (near, far))
        return b"".join(block.tobytes() for pair in zip(*sides, strict=True) for block in self._block(*pair))

    def rest(self) -> bytes:
        """What is still held back, as the utterance ends here."""
        if self._is_new and self._held:
            left, since = self._tried(len(self._held))
            if since:
                n_samples = len(self._held) * BLOCK
                self._held.clear()
                return _rounded(left[-n_samples:]).tobytes()
        return b"".join(block.tobytes() for block in self._released())

    def _block(self, near: Block, far: Block) -> list[Block]:
        self._near, self._far = np.append(self._near[BLOCK:], near), np.append(self._far[BLOCK:], far)
        self._since_far = 0 if far.any() else self._since_far + 1
        if self._since_far >= TAIL:
            self._speaks, self._alone = False, 0
            return [*self._released(), near]
        self._look()
        if self._path.found is None:
            self._held.append(near)
            return [self._held.popleft()] if len(self._held) > WAITS else []
        if not self.cancels:
            self._unheard += 1
            return [*self._released(), near]
        self._sounded += 1
        clean: Block = self._aec3.process(near, far)
        voice = _energy(clean) > max(VOICE_ENERGY, VOICE_SHARE * _energy(near))
        if self._learns and self._path.mostly_echo:
            voice = False  # AEC3 lets some of a new echo through
        self._voices.append(voice)
        self._since_voice = 0 if voice else self._since_voice + 1
        self._held.append(clean)
        if self._is_new:
            return self._first_words()
        if self._speaks:
            self._speaks = self._since_voice < PAUSE
            self._restored += 1
            return self._released(restored=self._restored <= STILL_MUTED)
        self._alone += 1
        if sum(self._voices) >= VOICE and not self._explained():
            if self._room is None:
                self._learn()
            self._speaks, self._alone, self._restored = True, 0, 0
            return self._released(restored=True)
        self._learn_at_times()
        return self._echoes(HELD)

    def _first_words(self) -> list[Block]:
        """While an echo is new, AEC3 mutes nearly all that is said over it. So a room is fitted to all of it, a voice included."""
        if not self._speaks:
            self._alone += 1
            self._learn_at_times()
            if self._room is not None:
                return self._echoes(HELD)
        if self._sounded % TRIAL:
            return [] if self._speaks else self._echoes(TRIED)
        left, since = self._tried(TRIAL if self._speaks else len(self._held))
        self._since_voice = 0 if since else self._since_voice + TRIAL
        echoes: list[Block] = []
        if self._speaks:
            self._speaks = self._since_voice < PAUSE
        elif since:
            echoes = self._echoes(since + ONSET)
            self._speaks, self._alone, self._restored = True, 0, 0
        if not self._speaks:
            return self._echoes(TRIED)
        n_samples = len(self._held) * BLOCK
        self._held.clear()
        return [*echoes, _rounded(left[-n_samples:])]

    def _tried(self, n_blocks: int) -> tuple[Samples, int]:
        """What a trial fit leaves, and how many blocks ago a voice began in so many; 0 if there is none."""
        n_pieces = -(-min(LEARNT, self._known_before + self._sounded) // TRIAL)  # at least all that is held
        n_samples = n_pieces * TRIAL * BLOCK
        near, far = _floats(self._near[-n_samples:], self._far[-n_samples - HISTORY :])
        room = Room.fit(near, far, alone=False)
        left = room.residual(near, far) if room is not None else near
        heard, unexplained = (np.mean(np.square(side.reshape(n_pieces, -1)), 1) for side in (near, left))
        voices = (unexplained > np.maximum(VOICE_ENERGY, UNEXPLAINED * heard)) & (heard > FAINT * heard.max())
        found = np.flatnonzero(voices[-max(1, n_blocks // TRIAL) :][::-1])
        return left, TRIAL * (int(found[-1]) + 1) if len(found) else 0

    def _echoes(self, most: int) -> list[Block]:
        """What is held besides so many blocks, silenced: what is left of an echo would sometimes be heard as a voice."""
        echoes = max(0, len(self._held) - most)
        for _ in range(echoes):
            self._held.popleft()
        return [SILENCE] * echoes

    def _look(self) -> None:
        """See now and then whether there is an echo."""
        self._since_look += 1
        known = not self._learns if self._path.found else self._unheard > SURE
        every = LOOK_SELDOM if known else LOOK_EVERY
        if self._since_look < every:
            return
        self._since_look, before = 0, self._path.found
        near, far = self._near[-LOOK:], self._far[-LOOK - HISTORY :]
        self._path.look(*_floats(near, far), every * 10)
        if self._path.found and not before:
            self._surprised = before is False
            self._begin()
        elif before and self._path.found is False:
            begin = len(self._near) - (len(self._held) + 1) * BLOCK  # the newest block is still to come
            self._held = deque(self._near[begin:-BLOCK].reshape(-1, BLOCK))

    def _begin(self) -> None:
        """An echo has appeared: let AEC3 learn it from what was recorded so far, and take it out of what is held."""
        self._aec3, self._room = _aec3(), None
        self._learnt = self._sounded = self._unheard = 0
        self._speaks, n_held = False, len(self._held)
        self._alone = max(LOOK // BLOCK, n_held)
        self._voices.clear()
        self._known_before = self._alone
        begin = len(self._near) - (self._alone + 1) * BLOCK  # the newest block is still to come
        sides = (side[begin:-BLOCK].reshape(-1, BLOCK) for side in (self._near, self._far))
        clean = [self._aec3.process(*pair) for pair in zip(*sides, strict=True)]
        self._held = deque(clean[len(clean) - n_held :])

    def _released(self, *, restored: bool = False) -> list[Block]:
        """All that is held; `restored`: from the microphone, if the room is known."""
        blocks = list(self._held)
        self._held.clear()
        if not restored or self._room is None or not blocks:
            return blocks
        n_samples = len(blocks) * BLOCK
        residual = self._room.residual(*_floats(self._near[-n_samples:], self._far[-n_samples - HISTORY :]))
        return [_rounded(residual)]

    def _explained(self) -> bool:
        """True if what AEC3 lets through is the echo: of a large room, it lets the last reflections through."""
        n_samples = VOICE_OF * BLOCK
        near, far = _floats(self._near[-n_samples:], self._far[-n_samples - HISTORY :])
        if self._room is not None and _left(self._room, near, far) < EXPLAINED:
            return True
        lately = self._near[-LATELY * BLOCK : -n_samples].reshape(-1, BLOCK)
        return self._learnt < LEARNT and _energy(near) < FAINT * max(map(_energy, lately))

    def _learn_at_times(self) -> None:
        if self._alone % LEARNT_AT_LEAST == HELD:
            self._learn()  # now, and not when somebody waits for the voice

    def _learn(self) -> None:
        """Fit the room to the echo alone, before what may be a voice, if it is not known well. If there was too little, it stays as it was."""
        learnt = min(LEARNT, self._alone - HELD)
        in_vain = self._room is None and self._learnt == LEARNT
        if learnt < LEARNT_AT_LEAST or (in_vain and self._alone % SELDOM != HELD):
            return
        end = len(self._near) - HELD * BLOCK
        if self._room is not None and self._learnt == LEARNT:
            begin = end - LEARNT_AT_LEAST * BLOCK
            near, far = _floats(self._near[begin:end], self._far[begin - HISTORY : end])
            if _left(self._room, near, far) <= WORSE * self._left_share:
                return
        begin = end - learnt * BLOCK
        near, far = _floats(self._near[begin:end], self._far[begin - HISTORY : end])
        room = Room.fit(near, far)
        if room is not None or self._room is None or _left(self._room, near, far) > WORSE * self._left_share:
            self._room, self._learnt = room, learnt
            self._left_share = _left(room, near, far) if room is not None else 0.0


def _aec3() -> Any:
    webrtc: Any = importlib.import_module("pywebrtc_audio")
    return webrtc.EchoCanceller(SERVICE_RATE_HZ, 1, 0)


def _floats(near: Block, far: Block) -> tuple[Samples, Samples]:
    return near.astype(np.float64), far.astype(np.float64)


def _left(room: Room, near: Samples, far: Samples) -> float:
    """The share of an echo that the room does not explain."""
    left = room.residual(near, far)
    return float(left @ left / (near @ near + 1))


def _rounded(samples: Samples) -> Block:
    return np.clip(np.rint(samples), -32_768, 32_767).astype("<i2")


def _energy(block: Block | Samples) -> float:
    return float(np.mean(np.square(block, dtype=np.float64)))
