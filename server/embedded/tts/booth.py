"""One engine and its threads. Speaks as many pieces at once as the engine allows, and prefers callers who have heard nothing yet."""

from __future__ import annotations

import threading
from functools import partial
from typing import TYPE_CHECKING

from server.embedded.fairness import FairThreads
from server.embedded.tts.pieces import MAX_PIECE_COST, cost

if TYPE_CHECKING:
    from server.embedded.tts.engine import Engine, Spoken

AHEAD = 10.0 * MAX_PIECE_COST  # a first piece precedes later ones of users who had so much less


class Booth:
    """Shares a few threads among many utterances, in fair turns of their users.

    A long text comes in pieces, so that others get their turn between its sentences. The first piece of an utterance precedes the
    later pieces of others, because its listener hears silence, while theirs still hear the previous piece.
    """

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self._threads = FairThreads(engine.at_once, engine.name, AHEAD)

    async def say(self, text: str, voice_id: str, speed: float, *, first: bool) -> Spoken:
        """Synthesise a piece in a thread. Cancelling this tells the engine to stop."""
        gone = threading.Event()
        say = partial(self.engine.say, text, voice_id, speed, lambda: not gone.is_set())
        try:
            return await self._threads.run(say, cost(text), urgent=first)
        finally:
            gone.set()

    def close(self) -> None:
        """End the threads."""
        self._threads.close()
