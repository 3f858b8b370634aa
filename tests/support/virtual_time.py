"""An event loop whose clock jumps to the next timer instead of waiting for it: minutes of playout pass in milliseconds."""

from __future__ import annotations

import asyncio
import selectors
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine
    from contextvars import Context

T = TypeVar("T")

# That a test may last; whatever ends later, such as a timer that is set again and again, never ends
LONGEST_S = 24 * 3600.0


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits, but adds the time that it would have waited to the clock."""

    now = 0.0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout is None:
            raise RuntimeError("every task waits and no timer is set: the test would hang")
        if not ready and timeout:
            self.now += timeout
            if self.now > LONGEST_S:
                raise RuntimeError("a day has passed, and timers are still being set: the test would hang")
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` starts at 0, and only timers move it."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def call_at(  # type: ignore[override] # differs from the base class, like uvloop
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        """A handle without `when()` if it is due already, like that of uvloop."""
        if when <= self.time():
            return self.call_soon(callback, *args, context=context)
        return super().call_at(when, callback, *args, context=context)

    def run_in_executor(  # type: ignore[override] # without its executor
        self, executor: object, func: Callable[..., T], *args: Any
    ) -> asyncio.Future[T]:
        """Do a thread's work at once: no timer tells when a thread is done."""
        done: asyncio.Future[T] = self.create_future()
        try:
            done.set_result(func(*args))
        except Exception as failed:  # noqa: BLE001 - whoever waits for it gets it
            done.set_exception(failed)
        return done


def run(coroutine: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a fresh virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(coroutine)
