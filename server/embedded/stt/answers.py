"""What a caller is told, in order, though some of it is still being decoded.

Of a file the next utterances are cut while the earlier ones are decoded, so that all decoder processes have work.
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

MAX_OWED = 8  # finals that are decoded at once, for one file: enough for two processes


class Answers:
    """`send` tells the caller; gRPC takes one message at a time."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sending = asyncio.Lock()
        self._later: deque[Answer] = deque()
        self._may_owe = asyncio.Semaphore(MAX_OWED)
        self._draining: asyncio.Task[None] | None = None

    async def tell(self, answer: stt_pb2.RecognizeResponse) -> None:
        """Behind everything that is owed."""
        if self._later:
            self._later.append(answer)
        else:
            await self.tell_now(answer)

    async def tell_now(self, answer: stt_pb2.RecognizeResponse) -> None:
        """Before what is owed: a sign of life."""
        async with self._sending:
            await self._send(answer)

    async def owe(self, answer: asyncio.Task[stt_pb2.RecognizeResponse], group: asyncio.TaskGroup) -> None:
        """Tell it when it is there. Waits while too much is owed."""
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
