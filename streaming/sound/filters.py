"""A filter between a microphone and its recogniser: audio and what must happen after it, in order."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class AudioFilter(ABC):
    """Passes on in `run` what `feed` was given. `send` takes the filtered audio."""

    def __init__(self, send: Callable[[bytes], None]) -> None:
        self._send = send
        # In the order of the calls, or audio that came after a commit would be heard before it.
        self._queue: deque[bytearray | Callable[[], None]] = deque()
        self._news = asyncio.Event()

    def feed(self, pcm: bytes) -> None:
        """Add whole samples that were just recorded."""
        last = self._queue[-1] if self._queue else None
        if isinstance(last, bytearray):
            last += pcm
        else:
            self._queue.append(bytearray(pcm))
        self._news.set()

    def then(self, act: Callable[[], None]) -> None:
        """Call `act` when all audio up to here was sent, and none that is fed later."""
        self._queue.append(act)
        self._news.set()

    async def run(self) -> None:
        """Filter until cancelled."""
        while True:
            await self._news.wait()
            self._news.clear()
            while self._queue:
                one = self._queue.popleft()
                if isinstance(one, bytearray):
                    await self._pass_on(bytes(one))
                else:
                    await self._send_rest()
                    one()

    @abstractmethod
    async def _pass_on(self, pcm: bytes) -> None:
        """Filter and send what was fed. Some of it may be kept for later."""

    @abstractmethod
    async def _send_rest(self) -> None:
        """Send what was kept."""
