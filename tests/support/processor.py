"""Ends what takes no end: a bound of processor time, which no load of other programs changes."""

from __future__ import annotations

import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Iterator

ENOUGH_CPU_S = 30  # for what takes some tenths; a pattern that begins again and again at long text takes many minutes


@contextmanager
def bounded_work() -> Iterator[None]:
    """Fail when the processor has been busy with the block for that long. `re` looks for signals too."""

    def over(_number: int, _frame: object) -> None:
        pytest.fail(f"still at it after {ENOUGH_CPU_S} s of processor time")

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, ENOUGH_CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
