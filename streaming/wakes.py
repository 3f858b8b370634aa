"""Timers that need not be exact: those of many sessions and sockets fire together, in one wake of the process.

A wake costs more than what most timers do: 30 to 80 µs of CPU, with cold caches. Ten thousand idle sessions have a thousand timers
a second.
"""

from __future__ import annotations

import asyncio
import heapq
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

STEP_S = 0.05  # 25 heartbeats of ten thousand idle sessions at once, which take about a millisecond
EARLY_S = 1e-6  # a loop may call a timer so much before its time, as its clock tells it


def step_at(at: float) -> int:
    """The first step from `at` on, which is in seconds of the loop's clock."""
    return math.ceil(at / STEP_S)


class Wakes:
    """The timers of one loop. A timer is a step and a function, which together cancel it: no object is made for it.

    All functions of a step are called in one callback of the loop, in any order.
    """

    def __init__(self) -> None:
        self._due: dict[int, dict[Callable[[], None], None]] = {}  # by step
        self._steps: list[int] = []  # a heap of the steps in `_due`
        self._over = 0  # the newest step whose time has come
        self._timer: asyncio.TimerHandle | None = None
        self._timer_step = 0

    def set(self, step: int, act: Callable[[], None]) -> int:
        """Call `act` at this step, or at the next one if its time has come already. Returns the step.

        What `act` raises goes to the loop's exception handler.
        """
        step = max(step, self._over + 1)
        acts = self._due.get(step)
        if acts is None:
            acts = self._due[step] = {}
            heapq.heappush(self._steps, step)
            if self._timer is None or step < self._timer_step:
                self._set_timer()
        acts[act] = None
        return step

    def cancel(self, step: int, act: Callable[[], None]) -> None:
        """Do not call `act` at this step. Does nothing if it was called."""
        acts = self._due.get(step)
        if acts is not None:
            acts.pop(act, None)

    def move(self, step: int, at: float | None, act: Callable[[], None], *, anew: bool) -> int:
        """Move the timer of `step` to the first step from `at` on. Returns its step. 0: there was no timer, or `at` is None.

        Unless `anew`, a timer that is set for an earlier step stays.
        """
        later = step_at(at) if at is not None else 0
        if step and (step > later or anew):
            self.cancel(step, act)
            step = 0
        return step or (self.set(later, act) if later else 0)

    def _set_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_step = self._steps[0]
        self._timer = asyncio.get_running_loop().call_at(self._timer_step * STEP_S, self._fire)

    def _fire(self) -> None:
        self._timer = None
        loop = asyncio.get_running_loop()
        until = loop.time() + EARLY_S
        while self._steps and self._steps[0] * STEP_S <= until:
            self._over = heapq.heappop(self._steps)
            acts = self._due[self._over]
            while acts:  # one may cancel another
                act, _ = acts.popitem()
                try:
                    act()
                except Exception as error:  # noqa: BLE001 - the others must be called all the same
                    loop.call_exception_handler({"message": "a timer failed", "exception": error})
            del self._due[self._over]
        if self._steps:
            self._set_timer()
