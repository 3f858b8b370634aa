"""One engine and its threads. Speaks as many pieces at once as the engine allows, and prefers callers who have heard nothing yet."""

from __future__ import annotations

import asyncio
import threading
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from server.embedded.tts.engine import Engine, Spoken


class Booth:
    """Shares a few threads among many utterances.

    A long text comes in pieces, so that others get their turn between its sentences. The first piece of an utterance precedes the
    later pieces of all others, because its listener hears silence, while theirs still hear the previous piece.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = ThreadPoolExecutor(engine.at_once, thread_name_prefix=engine.name)
        self._free = engine.at_once
        self._first: deque[asyncio.Future[None]] = deque()
        self._later: deque[asyncio.Future[None]] = deque()

    async def say(self, text: str, voice_id: str, speed: float, *, first: bool) -> Spoken:
        """Synthesise a piece in a thread. Cancelling this tells the engine to stop."""
        await self._turn(first=first)
        gone = threading.Event()
        say = partial(self.engine.say, text, voice_id, speed, lambda: not gone.is_set())
        speaking = asyncio.get_running_loop().run_in_executor(self._threads, say)
        speaking.add_done_callback(lambda _done: self._next())  # after a cancel too, when the thread has actually ended
        try:
            return await asyncio.shield(speaking)
        finally:
            gone.set()

    async def _turn(self, *, first: bool) -> None:
        """Wait for a free thread."""
        if self._free:
            self._free -= 1
            return
        waiting = self._first if first else self._later
        turn = asyncio.get_running_loop().create_future()
        waiting.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.cancelled():
                waiting.remove(turn)
            else:  # the turn had just come
                self._next()
            raise

    def _next(self) -> None:
        """Give a freed thread to the next waiter."""
        for waiting in (self._first, self._later):
            while waiting:
                turn = waiting.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
        self._free += 1

    def close(self) -> None:
        """End the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
