"""Ctrl-C while a command still imports its modules."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def ended_silently() -> Iterator[None]:
    """Let SIGINT end the process at once, as any Unix tool, instead of with a traceback of imports.

    Keeps a handler that somebody else has set, and a SIGINT that the parent process ignores (`nohup`, `&` in a script).
    """
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if not ours or threading.current_thread() is not threading.main_thread():  # only the main thread may set a handler
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
