"""A live session: its lanes, each a task with a name. It outlives its sockets and knows no wire format."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from streaming.outlet import LaneSetup, Outlet
from streaming.ports import CallContext, ServiceError
from streaming.sound.codecs import AudioFormatError

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.lanes.base import Lane
    from streaming.ports import Identity, LaneServices

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class ChannelEnd:
    """How a channel ended."""

    status: Literal["ok", "cancelled", "error"]
    code: str | None = None
    message: str | None = None


@dataclass(slots=True)
class _Running:
    lane: Lane
    task: asyncio.Task[ChannelEnd]


class Session:
    """`group` is where the lanes' tasks live; a lane that fails never takes the group, or another lane, with it."""

    def __init__(
        self,
        session_id: str,
        identity: Identity,
        provided: LaneServices,
        group: asyncio.TaskGroup,
        clock: Callable[[], float],
        listening_clock: Callable[[], float] | None = None,
    ) -> None:
        """`listening_clock`: as in LaneSetup; None: the client is there as long as the session."""
        self.session_id = session_id
        self.identity = identity  # whoever the next lane works for
        self._provided = provided
        self._group = group
        self._clock = clock
        self._listening_clock = listening_clock or clock
        self._running: dict[int, _Running] = {}

    @property
    def busy(self) -> bool:
        """Is any lane at work?"""
        return bool(self._running)

    @property
    def must_finish(self) -> bool:
        """Would a move to another replica now lose what a lane is doing?"""
        return any(running.lane.must_finish for running in self._running.values())

    def open(
        self,
        channel: int,
        build: Callable[[LaneSetup], Lane],
        outlet: Outlet,
        on_end: Callable[[ChannelEnd], None],
        traceparent: str = "",
    ) -> None:
        """Build the lane and let it run, as one span; `on_end` is called once. Raises AudioFormatError, ServiceError, WrongInputError."""
        span = self._provided.tracer.span("channel", traceparent)
        context = CallContext(
            user_id=self.identity.user_id,
            roles=self.identity.roles,
            session_id=self.session_id,
            request_id=f"{self.session_id}-{channel}",
            traceparent=span.traceparent,
        )
        try:
            lane = build(LaneSetup(outlet, self._provided, context, self._clock, self._listening_clock))
        except Exception as refused:
            span.end(refused)
            raise
        task = self._group.create_task(_run(lane), name=f"lane {self.session_id} {channel}")
        self._running[channel] = _Running(lane, task)

        def finished(task: asyncio.Task[ChannelEnd]) -> None:
            self._running.pop(channel, None)
            span.end()
            on_end(ChannelEnd("cancelled") if task.cancelled() else task.result())

        task.add_done_callback(finished)

    def lane(self, channel: int) -> Lane | None:
        """The lane at work there."""
        running = self._running.get(channel)
        return running.lane if running else None

    def lanes(self) -> list[tuple[int, Lane]]:
        """All at work."""
        return [(channel, running.lane) for channel, running in self._running.items()]

    def cancel(self, channel: int) -> None:
        """Stop one lane; its `on_end` says cancelled."""
        running = self._running.get(channel)
        if running is not None:
            running.task.cancel()

    async def close(self) -> None:
        """Stop all lanes and wait until they have let go of their services."""
        tasks = [running.task for running in self._running.values()]
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)


async def _run(lane: Lane) -> ChannelEnd:
    try:
        await lane.run()
    except Exception as error:  # noqa: BLE001 - whatever a lane dies of, it dies alone
        return _ended_by(_first(error), lane)
    return ChannelEnd("ok")


def _first(error: BaseException) -> BaseException:
    """The first failure inside nested groups: the one that brought the others about."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ended_by(error: BaseException, lane: Lane) -> ChannelEnd:
    if isinstance(error, ServiceError):
        return ChannelEnd("error", error.code, error.said)
    if isinstance(error, AudioFormatError):
        return ChannelEnd("error", "INVALID_AUDIO", str(error))
    log.error("lane failed: %s", type(lane).__name__, exc_info=error)
    return ChannelEnd("error", "INTERNAL", "something went wrong in the gateway")
