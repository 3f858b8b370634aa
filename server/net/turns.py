"""Connections that have much to do take turns, so that those with little to do need not wait for them."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

TURN_S = 0.0005  # a connection should stop after this long; a microphone's frame costs a tenth of a millisecond
LONG_TURN_S = 0.002  # a turn that took longer, with all that it caused, is followed by a pause of the same length
LONGEST_PAUSE_S = 0.02  # the time may have been spent by somebody else


class Turns:
    """One turn of one connection in each iteration of the loop, first come, first served.

    A turn is measured with the tasks that it started. After a long one the others get as much time, so that all crowded connections
    together never have more than half of the loop; and the next turns are told that they are dear, until one was short.
    """

    def __init__(self) -> None:
        self._waiting: deque[Callable[[bool], None]] = deque()
        self._running = self._dear = False

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
        loop = asyncio.get_running_loop()
        began = loop.time()
        loop.call_soon(
            self._over, began
        )  # runs even if the turn raises; tasks that the turn starts run before the one after
        self._waiting.popleft()(self._dear)

    def _over(self, began: float) -> None:
        loop = asyncio.get_running_loop()
        if self._waiting:
            loop.call_soon(self._pause, began)
        else:
            self._running = self._dear = False

    def _pause(self, began: float) -> None:
        """The tasks of the turn have had their first step."""
        loop = asyncio.get_running_loop()
        spent_s = loop.time() - began
        self._dear = spent_s > LONG_TURN_S
        if self._dear:
            loop.call_later(min(spent_s, LONGEST_PAUSE_S), self._next)
        else:
            self._next()
