"""Keeps a microphone shut until it hears "Hey Jarvis", and again some seconds after the conversation. microWakeWord, off the event loop.

While it is shut, the recogniser gets silence of the same length, so that times, credit and resuming are as with an open microphone.
"""

from __future__ import annotations

import asyncio
import importlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from streaming.ports import ServiceError
from streaming.sound.codecs import SERVICE_RATE_HZ
from streaming.sound.filters import AudioFilter
from streaming.sound.pcm import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from collections.abc import Callable

log = logging.getLogger(__name__)

BYTES_PER_MS = SERVICE_RATE_HZ // 1000 * BYTES_PER_SAMPLE
HELD_MS = (
    160  # the beginning of the next word, by the time that the wake word is recognised; more would let its end through
)
STEP_BYTES = 20 * BYTES_PER_MS  # are listened to at a time, or what follows the word in the same audio would be lost
AWAKE_MS = 8_000  # how long the microphone stays open when nobody speaks and nothing is under way


@dataclass(slots=True)
class Attention:
    """What the gate needs to know. `busy`: somebody speaks, or a turn is under way. `deaf`: the client's loudspeaker plays our voice."""

    busy: Callable[[], bool]
    deaf: Callable[[], bool]

    def forget(self) -> None:
        """The lane is over: drop the callbacks, whose owner has the gate."""
        self.busy = self.deaf = bool  # no


class WakeWord:
    """Recognises "Hey Jarvis" in 16 kHz PCM. Raises ServiceError if microWakeWord is not installed, or does not load."""

    def __init__(self) -> None:
        try:
            package: Any = importlib.import_module("pymicro_wakeword")
            self._model: Any = package.MicroWakeWord.from_builtin(package.Model.HEY_JARVIS)
            self._features: Any = package.MicroWakeWordFeatures()
        except ImportError:
            words = "the wake word is not installed here: the extra `wake` brings it"
            raise ServiceError("UNIMPLEMENTED", words) from None
        except Exception as broken:  # such as the OSError of a C library that this machine cannot load
            log.exception("the wake word does not load")
            words = f"the wake word does not load here: {type(broken).__name__}"
            raise ServiceError("UNIMPLEMENTED", words) from None

    def heard(self, pcm: bytes) -> bool:
        """True if it was said, at the latest in `pcm`, the audio that follows the last call's. Blocks; 4 ms per second of audio."""
        found = False
        for features in self._features.process_streaming(pcm):  # all of them, because the model has a memory
            found |= bool(self._model.process_streaming(features))
        return found

    def forget(self) -> None:
        """Begin again: what follows is not the continuation of what was heard."""
        self._features.reset()
        self._model.reset()


class WakeGate(AudioFilter):
    """Passes audio on in `run`, in order and as much of it as came: as it was while awake, as silence while asleep."""

    def __init__(self, attention: Attention, send: Callable[[bytes], None], word: WakeWord | None = None) -> None:
        super().__init__(send)
        self._attention = attention
        self._word = word or WakeWord()
        self._fresh = True  # the word has heard nothing yet
        self._held = b""
        self._awake_bytes = 0  # how much more audio is passed on

    @property
    def awake(self) -> bool:
        """True while the recogniser hears what the microphone hears."""
        return self._awake_bytes > 0

    def wake(self) -> None:
        """Open the microphone, as the wake word does."""
        self._awake_bytes = AWAKE_MS * BYTES_PER_MS

    async def _pass_on(self, pcm: bytes) -> None:
        at = 0
        while at < len(pcm) and not self.awake:
            await self._listen(pcm[at : at + STEP_BYTES])
            at += STEP_BYTES
        if at < len(pcm):
            self._hear(pcm[at:])

    async def _send_rest(self) -> None:
        if self._held:
            self._send(bytes(len(self._held)))
            self._held = b""

    def _hear(self, pcm: bytes) -> None:
        if self._attention.busy():
            self.wake()
        self._awake_bytes -= len(pcm)
        self._send(pcm)

    async def _listen(self, pcm: bytes) -> None:
        held = self._held + pcm
        if await self._woken(pcm):
            self.wake()
        kept = held[-HELD_MS * BYTES_PER_MS :]
        self._send(bytes(len(held) - len(kept)))
        self._held = b"" if self.awake else kept
        if self.awake:
            self._send(kept)

    async def _woken(self, pcm: bytes) -> bool:
        if self._attention.deaf():
            if not self._fresh:
                self._fresh = True
                await asyncio.to_thread(self._word.forget)
            return False
        self._fresh = False
        if not await asyncio.to_thread(self._word.heard, pcm):
            return False
        self._fresh = True
        await asyncio.to_thread(self._word.forget)  # for the next time
        return True
