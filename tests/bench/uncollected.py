"""A gateway without the cyclic garbage collector, which reports its objects: SIGUSR2 writes tasks and objects to the file UNCOLLECTED_FILE.

What only the collector would find stays and is counted. For `tests.bench.leaks` and its test.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import signal
from collections import Counter
from pathlib import Path

from server.__main__ import main


def tell(*_signal: object) -> None:
    """Written whole or not at all: the reader waits for the file."""
    told = Path(os.environ["UNCOLLECTED_FILE"])
    objects = gc.get_objects()
    types = Counter(f"{type(each).__module__}.{type(each).__qualname__}" for each in objects)
    held = {"tasks": len(asyncio.all_tasks()), "objects": len(objects), "types": types}
    half = told.with_suffix(".half")
    half.write_text(json.dumps(held))
    half.rename(told)


if __name__ == "__main__":
    gc.disable()
    signal.signal(signal.SIGUSR2, tell)
    main()
