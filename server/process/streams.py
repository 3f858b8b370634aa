"""Standard input, output and error of a process that was started without one of them (`>&-` in a shell, some supervisors)."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def open_missing() -> None:
    """Open the null device in place of each missing standard stream, for this process and its children.

    Otherwise the next file or socket would get the number 0, 1 or 2. libuv aborts the process when it closes one of these.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):  # in this order each gets its own number
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - it stays open as long as the process runs
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)
