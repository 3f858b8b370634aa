"""Speech that arrives when a test says so, as from a service that speaks in real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.ports import SynthesisAudio, SynthesisStarted

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streaming.ports import SynthesisEvent

RATE_HZ = 16_000
FRAME_MS = 40
FRAME_BYTES = RATE_HZ * FRAME_MS // 1000 * 2


class LiveSpeech:
    """Implements `streaming.ports.SynthesisStream`. `refused`: pieces that had to be read from the iterator."""

    def __init__(self) -> None:
        self.refused: list[bytes] = []
        self._ear: Callable[[bytes], bool] | None = None
        self._events: asyncio.Queue[SynthesisEvent | None] = asyncio.Queue()
        self._events.put_nowait(SynthesisStarted(RATE_HZ, "test"))
        self.cancelled = False

    def arrive(self, pcm: bytes = bytes(FRAME_BYTES)) -> None:
        """Audio comes from the service."""
        if self._events.qsize() or self._ear is None or not self._ear(pcm):
            self.refused.append(pcm)
            self._events.put_nowait(SynthesisAudio(pcm))

    def send_text(self, text: str) -> None:
        """The text does not matter."""

    def end(self) -> None:
        """Nor does its end."""

    def cancel(self) -> None:
        self.cancelled = True
        self._ear = None
        self._events.put_nowait(None)

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        self._ear = ear

    async def __aiter__(self) -> AsyncIterator[SynthesisEvent]:
        while (event := await self._events.get()) is not None:
            yield event
