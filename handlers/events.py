"""Server-Sent Events (WHATWG HTML, section 9.2)."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic_core import to_json

from streaming.task_group import TaskGroup

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine

    from streaming.ports import TaskProgress

ResultT = TypeVar("ResultT")

KEEPALIVE = b":\n\n"  # an SSE comment: proxies see traffic, clients ignore it
KEEPALIVE_S = 15.0  # proxies close connections that are silent for 30 to 60 seconds
# A client slower than its task loses the oldest progress events, but never the result, nor words of a transcript.
MAX_WAITING = 1000
MAX_WAITING_BYTES = 1024 * 1024


def server_sent_event(name: str, json_data: bytes) -> bytes:
    """One event. Our JSON has no line breaks, so it fits one `data` line."""
    return b"event: " + name.encode() + b"\ndata: " + json_data + b"\n\n"


def progress_event(progress: TaskProgress) -> bytes:
    """A progress event, without unknown fields."""
    fields = {
        "message": progress.message,
        "percent": progress.percent,
        "stream": progress.stream,
        "data": progress.data,
    }
    known = {name: value for name, value in fields.items() if value not in {None, ""}}
    return server_sent_event("progress", to_json(known, inf_nan_mode="null"))


class WaitingEvents:
    """Queue of events between a task and a client that may be slower.

    `drops`: the oldest are dropped if too much waits. Not those of a transcript, which clients join: a file has ten minutes of words.
    """

    def __init__(self, *, drops: bool) -> None:
        self._drops = drops
        self._waiting: deque[bytes] = deque()
        self._bytes = 0
        self._wake = asyncio.Event()

    def put(self, progress: TaskProgress) -> None:
        """Queue an event; never waits."""
        self.put_event(progress_event(progress))

    def put_event(self, event: bytes) -> None:
        """Queue an encoded event; never waits."""
        self._waiting.append(event)
        self._bytes += len(event)
        while self._drops and self._too_much:
            self._bytes -= len(self._waiting.popleft())
        self._wake.set()

    @property
    def _too_much(self) -> bool:
        n_waiting = len(self._waiting)
        return n_waiting > MAX_WAITING or (self._bytes > MAX_WAITING_BYTES and n_waiting > 1)

    def wake(self) -> None:
        """Let `take` return, even if nothing is queued."""
        self._wake.set()

    async def take(self) -> bytes:
        """Wait and return all queued events: empty after `wake`, a comment if none came for `KEEPALIVE_S`."""
        try:
            async with asyncio.timeout(KEEPALIVE_S):
                await self._wake.wait()
        except TimeoutError:
            return KEEPALIVE
        return self.take_at_once()

    def take_at_once(self) -> bytes:
        """Return all queued events."""
        self._wake.clear()
        chunk = b"".join(self._waiting)
        self._waiting.clear()
        self._bytes = 0
        return chunk


async def relayed(
    work: Coroutine[Any, Any, ResultT], name: str, waiting: WaitingEvents, send: Callable[[bytes], Awaitable[None]]
) -> ResultT:
    """Run the work and return its result; its events are sent as they come. The work must not raise."""
    async with TaskGroup() as group:
        running = group.create_task(work, name=name)
        running.add_done_callback(lambda _task: waiting.wake())
        while not running.done():
            chunk = await waiting.take()
            if chunk:
                await send(chunk)
        if rest := waiting.take_at_once():  # came while the client took the last chunk
            await send(rest)
    return running.result()
