"""Worker threads for codecs and other work of milliseconds. FFmpeg's C code releases the GIL."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

CODEC_THREADS = 4  # further uploads wait for one piece of another, not for its whole file

_pool = ThreadPoolExecutor(CODEC_THREADS, thread_name_prefix="codec")


async def in_codec_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call's result, computed off the event loop. Cancelling the wait does not stop the call."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(call, *args, **kwargs))
