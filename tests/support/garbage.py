"""What only the cyclic garbage collector would find."""

from __future__ import annotations

import gc
from types import FrameType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

OURS = ("streaming.openai.", "streaming.agent.", "streaming.lanes.", "streaming.twilio.")
TABLES = frozenset({"RealtimeSessions", "Calls"})  # of sessions: they end with the test


def garbage_of(work: Callable[[], None]) -> set[str]:
    """Types of what sessions are made of that `work` leaves to the collector, and frames. Done once before, for what is made only once."""
    work()
    gc.collect()
    gc.disable()
    gc.set_debug(gc.DEBUG_SAVEALL)
    try:
        work()
        gc.collect()
        return {type(each).__name__ for each in gc.garbage if _is_ours(each)} - TABLES
    finally:
        gc.set_debug(0)
        gc.garbage.clear()
        gc.enable()


def _is_ours(thing: object) -> bool:
    if isinstance(thing, FrameType):
        return "/streaming/" in thing.f_code.co_filename
    return str(type(thing).__module__).startswith(OURS)
