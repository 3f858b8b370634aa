"""Sends a caller's answers in order, even if some of them are still being decoded.

The utterances of a file are found faster than they are decoded, so several are decoded at once and all decoder processes have work.
"""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from protos import stt_pb2

    Answer = stt_pb2.RecognizeResponse | asyncio.Task[stt_pb2.RecognizeResponse]
    Send = Callable[[stt_pb2.RecognizeResponse], Awaitable[None]]

MAX_OWED = 8  # finals of one file that are decoded at the same time: enough for two processes


class Answers:
    """A queue of answers. `send` sends one; gRPC takes one message at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sending = asyncio.Lock()
        self._later: deque[Answer] = deque()
        self._may_owe = asyncio.Semaphore(MAX_OWED)
        self._draining: asyncio.Task[None] | None = None

    async def tell(self, answer: stt_pb2.RecognizeResponse) -> None:
        """Send an answer after all that are owed."""
        if self._later:
            self._later.append(answer)
        else:
            await self.tell_now(answer)

    async def tell_now(self, answer: stt_pb2.RecognizeResponse) -> None:
        """Send a sign of life now, before the answers that are owed."""
        async with self._sending:
            await self._send(answer)

    async def owe(self, answer: asyncio.Task[stt_pb2.RecognizeResponse], group: asyncio.TaskGroup) -> None:
        """Send this answer when it is decoded. Waits while too many are owed."""
        await self._may_owe.acquire()
        self._later.append(answer)
        if self._draining is None or self._draining.done():
            self._draining = group.create_task(self._drain(), name="stt: tell what was owed")

    async def _drain(self) -> None:
        while self._later:
            head = self._later[0]
            if isinstance(head, asyncio.Task):
                await self.tell_now(await head)
                self._may_owe.release()
            else:
                await self.tell_now(head)
            self._later.popleft()
