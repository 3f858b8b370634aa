"""The event loop: Tornado's IOLoop on uvloop if it is installed (it does not exist for Windows), else on asyncio's own loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from tornado.ioloop import IOLoop

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

ResultT = TypeVar("ResultT")


def new_event_loop() -> asyncio.AbstractEventLoop:
    """A uvloop loop, or asyncio's if uvloop is not installed."""
    try:
        import uvloop  # noqa: PLC0415 - it may not be installed
    except ImportError:
        return asyncio.new_event_loop()
    return uvloop.new_event_loop()


def run(main: Coroutine[Any, Any, ResultT]) -> ResultT:
    """Run `main` on an IOLoop of its own, then cancel remaining tasks and close the loop."""
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        asyncio.set_event_loop(runner.get_loop())
        result: ResultT = IOLoop.current().run_sync(lambda: main)
    return result
