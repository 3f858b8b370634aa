"""A filter between a microphone and its recogniser: audio and what must happen after it, in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class AudioFilter(ABC):
    """Passes on in `run` what `feed` was given. `send` takes the filtered audio."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        self._near = bytearray()  # not filtered yet
        self._after: list[Callable[[], None]] = []  # commit and end, called once the audio before them was sent
        self._news = asyncio.Event()

    def feed(self, pcm: bytes) -> None:
        """Add whole samples that were just recorded."""
        self._near += pcm
        self._news.set()

    def then(self, act: Callable[[], None]) -> None:
        """Call `act` when all audio up to here was sent."""
        self._after.append(act)
        self._news.set()

    async def run(self) -> None:
        """Filter until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            acts, self._after = self._after, []
            await self._pass_on(whole=bool(acts))
            for act in acts:
                act()

    @abstractmethod
    async def _pass_on(self, *, whole: bool) -> None:
        """Filter and send what was fed; `whole`: keep nothing back."""
