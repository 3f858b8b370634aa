"""A gateway that measures its loop: SIGUSR1 begins anew, SIGUSR2 writes the iterations so far to the file ITERATIONS_FILE.

Each is its CPU time in this thread, and how long the loop then slept, in seconds. Another process takes CPU time of its own, so that
a busy machine changes these figures little. On asyncio's loop, because uvloop's iterations cannot be seen from Python.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
from pathlib import Path
from typing import Any

from server.__main__ import main
from server.process import loop as server_loop

iterations: list[tuple[float, float]] = []


class MeasuredLoop(asyncio.SelectorEventLoop):
    """Notes each iteration, which ends when the selector is asked."""

    def __init__(self) -> None:
        super().__init__()
        self._selector: Any
        self._ask = self._selector.select
        self._selector.select = self._select
        self._woke = time.thread_time()

    def _select(self, timeout: float | None = None) -> Any:
        busy_s, asked = time.thread_time() - self._woke, time.perf_counter()
        ready = self._ask(timeout)
        iterations.append((busy_s, 0.0 if timeout == 0 else time.perf_counter() - asked))
        self._woke = time.thread_time()
        return ready


def tell(*_signal: object) -> None:
    """Written whole or not at all: the reader waits for the file."""
    told = Path(os.environ["ITERATIONS_FILE"])
    half = told.with_suffix(".half")
    half.write_text(json.dumps(iterations))
    half.rename(told)


if __name__ == "__main__":
    server_loop.new_event_loop = MeasuredLoop
    signal.signal(signal.SIGUSR1, lambda *_: iterations.clear())
    signal.signal(signal.SIGUSR2, tell)
    main()
