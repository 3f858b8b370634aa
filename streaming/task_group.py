"""Task groups: one that leaves no garbage when it is cancelled, and work that is not cancelled halfway."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from types import TracebackType

T = TypeVar("T")


class TaskGroup(asyncio.TaskGroup):
    """As asyncio's, which refers to its task, and keeps what it raises in its own frame: cycles with the frames of all callers."""

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Raises what asyncio's raises, without that frame."""
        try:
            await super().__aexit__(kind, error, traceback)
        except BaseException as raised:
            raised.__traceback__ = traceback
            raise
        finally:
            self._parent_task = None
            del error, traceback


async def to_its_end(work: Coroutine[None, None, T]) -> T:
    """The result of short work that must not stop halfway: if the caller is cancelled meanwhile, that is raised when it is done."""
    task = asyncio.get_running_loop().create_task(work, name="to its end")
    cancelled = False
    while not task.done():
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            cancelled = True
    if cancelled:
        raise asyncio.CancelledError
    return task.result()
