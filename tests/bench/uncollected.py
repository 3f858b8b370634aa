"""A gateway without the cyclic garbage collector: SIGUSR2 writes its tasks, objects and memory in use to the file UNCOLLECTED_FILE.

What only the collector would find stays and is counted. For `tests.bench.leaks` and its test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import re
import signal
import sys
import tempfile
from collections import Counter
from pathlib import Path

from server.__main__ import main
from server.heap.freed_memory import c_library

LIBRARY = c_library()


def in_use_bytes() -> int:
    """Of Python's small objects, and of all else; what the two allocators keep free is not in use."""
    with tempfile.TemporaryFile() as file:  # Python tells this on the C library's standard error only
        stderr = os.dup(2)
        os.dup2(file.fileno(), 2)
        sys._debugmallocstats()
        os.dup2(stderr, 2)
        os.close(stderr)
        file.seek(0)
        found = re.search(rb"# bytes in allocated blocks += +([0-9,]+)", file.read())
    assert found is not None, "this Python tells it otherwise"
    small_bytes = int(found[1].replace(b",", b""))
    if LIBRARY is None:
        return small_bytes
    others = LIBRARY.mallinfo2()
    return small_bytes + int(others.uordblks) + int(others.hblkhd)


def tell(*_signal: object) -> None:
    """Written whole or not at all: the reader waits for the file."""
    told = Path(os.environ["UNCOLLECTED_FILE"])
    in_use = in_use_bytes()  # before the lists below
    objects = gc.get_objects()
    types = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)
    held = {"in_use_bytes": in_use, "tasks": len(asyncio.all_tasks()), "objects": len(objects), "types": types}
    half = told.with_suffix(".half")
    half.write_text(json.dumps(held))
    half.rename(told)


if __name__ == "__main__":
    gc.disable()
    signal.signal(signal.SIGUSR2, tell)
    main()
