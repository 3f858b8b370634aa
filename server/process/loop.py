"""The event loop: Tornado's IOLoop on uvloop if it is installed (it does not exist for Windows), else on asyncio's own loop."""

from __future__ import annotations

import asyncio
import errno
from typing import TYPE_CHECKING, TypeVar

import structlog
from tornado.ioloop import IOLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

log = structlog.get_logger(__name__)

OUT_OF_DESCRIPTORS = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
ResultT = TypeVar("ResultT")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop loop, or asyncio's if uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - it may not be installed
    except ImportError:
        loop = asyncio.new_event_loop()
        loop.set_exception_handler(_tell)
        return loop
    return uvloop.new_event_loop()


def _tell(loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    """Log as the loop does, but one line for a connection that no descriptor was left for: asyncio tries again by itself."""
    error = context.get("exception")
    if isinstance(error, OSError) and error.errno in OUT_OF_DESCRIPTORS:
        log.warning("a connection could not be accepted", reason=error.strerror)
    else:
        loop.default_exception_handler(context)


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `main` on a Tornado IOLoop of its own; then cancel remaining tasks and close the loop.

    Ctrl-C cancels `main`, and raises KeyboardInterrupt when it has ended. That is why asyncio's runner drives the IOLoop's loop:
    with `IOLoop.run_sync`, Ctrl-C would stop the loop before `main` has cleaned up.
    """
    io_loop = IOLoop(make_current=False, asyncio_loop=new_event_loop())
    with asyncio.Runner(loop_factory=lambda: io_loop.asyncio_loop) as runner:
        return runner.run(main)
