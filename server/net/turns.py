"""Connections that have much to do take turns, so that those with little to do need not wait for them."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_S = 0.0005  # a connection should stop after this long; a microphone's frame costs a tenth of a millisecond
LONG_TURN_S = 0.001  # a turn that took longer, with the tasks that it started, had dear messages
SHORT_TURN_S = 0.0002  # a dear turn, of one message, that took no longer: the messages are cheap again
PAUSE = 3.0  # after a dear turn the others have so many times its length: all crowds together get a quarter of the loop
LONGEST_PAUSE_S = 0.02


class Turns:
    """One turn of one connection in each iteration of the loop, first come, first served.

    A turn is measured with the tasks that it started, in CPU time of this thread: what other processes take is nobody's fault.
    After a dear one the loop belongs to others for a while, and the next turns are of one message each, until they are cheap.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[bool], None]] = deque()
        self._running = False
        self.dear = False  # the messages of those who wait cost much: take one at a time

    @property
    def crowd(self) -> int:
        """How many connections share the turns, with the one whose turn it is."""
        return len(self._waiting) + 1

    def wait(self, go_on: Callable[[bool], None]) -> None:
        """Call `go_on(dear)` when its turn comes. It should stop after TURN_S, if dear after one message, and wait again."""
        self._waiting.append(go_on)
        if not self._running:
            self._running = True
            asyncio.get_running_loop().call_soon(self._next)

    def _next(self) -> None:
        # `_over` runs even if the turn raises. Tasks that the turn starts run before `_pause`.
        asyncio.get_running_loop().call_soon(self._over, time.thread_time())
        self._waiting.popleft()(self.dear)

    def _over(self, began: float) -> None:
        if self._waiting:
            asyncio.get_running_loop().call_soon(self._pause, began)
        else:
            self._running = self.dear = False

    def _pause(self, began: float) -> None:
        """The tasks of the turn have had their first step."""
        spent_s = time.thread_time() - began
        self.dear = spent_s > (SHORT_TURN_S if self.dear else LONG_TURN_S)
        if self.dear:
            asyncio.get_running_loop().call_later(min(PAUSE * spent_s, LONGEST_PAUSE_S), self._next)
        else:
            self._next()
