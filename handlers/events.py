"""Server-Sent Events (WHATWG HTML, section 9.2): one long answer, event by event."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

from pydantic_core import to_json

if TYPE_CHECKING:
    from streaming.ports import TaskProgress

KEEPALIVE = b":\n\n"  # a comment: proxies see traffic, clients see nothing
KEEPALIVE_S = 15.0  # proxies close what is silent for 30 to 60 seconds
MAX_WAITING = 1000  # a client that reads slower than its task prints loses the oldest progress, never the result


def server_sent_event(name: str, json_data: bytes) -> bytes:
    """One event. JSON as we write it holds no line break, so one `data` line holds all of it."""
    return b"event: " + name.encode() + b"\ndata: " + json_data + b"\n\n"


def progress_event(progress: TaskProgress) -> bytes:
    """How far a task is; what is not known is left out."""
    fields = {
        "message": progress.message,
        "percent": progress.percent,
        "stream": progress.stream,
        "data": progress.data,
    }
    known = {name: value for name, value in fields.items() if value not in {None, ""}}
    return server_sent_event("progress", to_json(known, inf_nan_mode="null"))


class WaitingEvents:
    """Progress on its way from a task to a client that may be slower."""

    def __init__(self) -> None:
        self._waiting: deque[bytes] = deque(maxlen=MAX_WAITING)
        self._wake = asyncio.Event()

    def put(self, progress: TaskProgress) -> None:
        """Never waits."""
        self._waiting.append(progress_event(progress))
        self._wake.set()

    def wake(self) -> None:
        """Let `take` return, with nothing if there is nothing."""
        self._wake.set()

    async def take(self) -> bytes:
        """All that waits; empty after `wake`; a comment when nothing came for a while."""
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                await self._wake.wait()
        except TimeoutError:
            return KEEPALIVE
        self._wake.clear()
        chunk = b"".join(self._waiting)
        self._waiting.clear()
        return chunk
