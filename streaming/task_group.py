"""A task group that leaves no garbage when it is cancelled."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType


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
