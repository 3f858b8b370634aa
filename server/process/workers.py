"""Worker threads for codecs and other work of milliseconds. FFmpeg's C code releases the GIL."""

from __future__ import annotations

import asyncio
import importlib
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import structlog

from server.errors import ApiError
from server.overload import RETRY_AFTER_S

if TYPE_CHECKING:
    from collections.abc import Callable

P = ParamSpec("P")
T = TypeVar("T")

log = structlog.get_logger(__name__)

CODEC_THREADS = 4

CODECS = "streaming.sound.ffmpeg"

_pool = ThreadPoolExecutor(CODEC_THREADS, thread_name_prefix="codec")


async def in_codec_thread(call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """The call's result, computed off the event loop. Cancelling the wait does not stop the call."""
    return await asyncio.get_running_loop().run_in_executor(_pool, partial(call, *args, **kwargs))


class LiveCodecs:
    """The codecs of live channels. They are loaded in a thread, because that takes 0.1 s, and only by a process that serves sockets.

    Loaded, they take 16 MB.
    """

    def __init__(self) -> None:
        self._ready = False

    async def ready(self) -> None:
        """Wait until they are loaded: before a socket opens, since no session can wait for them.

        Raises ApiError OVERLOADED if no descriptor or memory is left for their files. The next socket tries again.
        """
        if not self._ready:
            try:
                await in_codec_thread(importlib.import_module, CODECS)
            except (OSError, ImportError, MemoryError) as error:
                log.warning("the codecs could not be loaded", reason=str(error))
                raise ApiError("OVERLOADED", headers={"Retry-After": str(RETRY_AFTER_S)}) from None
            self._ready = True
