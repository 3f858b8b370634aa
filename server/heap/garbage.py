"""The garbage collector: short steps while people speak, and the whole heap when nobody does.

Reference counts free nearly everything here; the collector finds the few cycles that errors leave. Left alone, Python looks at all
old objects whenever a quarter has been added to them, and at all younger ones long before. With the sessions of a thousand talkers
the latter took 95 ms each time, in which no audio moved (gc.callbacks, 2 cores, Python 3.11.7).
"""

from __future__ import annotations

import asyncio
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

# New objects before a look at them; looks before one at what survived the last. So a look is at 15,000 objects at most: 6 ms with a
# thousand talkers. Old objects are never looked at by count.
THRESHOLDS = (5_000, 1, 2**31 - 1)
LOOK_S = 60.0
QUIET_EVERY_S = 600.0  # between two whole collections while nobody speaks
GROWTH = 1.5  # of resident memory since the last one: then it is made whoever speaks


def begin() -> None:
    """Exempt what exists, because it lives as long as the process; from now on collect in short steps."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(*THRESHOLDS)


class WholeCollection:
    """Decides when the whole heap is collected. `speaking`: audio is coming in now; `memory_bytes`: resident."""

    def __init__(self, speaking: Callable[[], bool], memory_bytes: Callable[[], int]) -> None:
        self._speaking = speaking
        self._memory_bytes = memory_bytes
        self._last_s = 0.0
        self._last_bytes = memory_bytes()

    def due(self, now_s: float) -> bool:
        """True if objects have become old since the last one, and it hurts nobody now or memory needs it."""
        if not gc.get_count()[2]:
            return False
        if self._memory_bytes() >= GROWTH * self._last_bytes:
            return True
        return now_s - self._last_s >= QUIET_EVERY_S and not self._speaking()

    def collect(self, now_s: float) -> None:
        """Do it: about half a microsecond for each object."""
        gc.collect()
        self._last_s, self._last_bytes = now_s, self._memory_bytes()

    async def watch(self) -> None:
        """Look once a minute, until cancelled."""
        loop = asyncio.get_running_loop()
        self._last_s = loop.time()
        while True:
            await asyncio.sleep(LOOK_S)
            if self.due(loop.time()):
                self.collect(loop.time())
