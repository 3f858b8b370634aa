"""Codecs run here (and what else takes milliseconds): FFmpeg's C code lets go of the GIL, and a second of audio costs some milliseconds."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

CODEC_THREADS = 4  # more uploads than that at once wait for a piece of a second, not for each other's whole file

_pool = ThreadPoolExecutor(CODEC_THREADS, thread_name_prefix="codec")


async def in_codec_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call's result, made off the event loop. A cancelled wait leaves the call to end by itself."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(call, *args, **kwargs))
