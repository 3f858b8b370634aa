"""A live session: its lanes, each a named task. It outlives its sockets and is independent of the wire format."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from streaming.open_questions import OpenQuestions
from streaming.outlet import LaneSetup, Outlet
from streaming.ports import CallContext, NewestRoles, ServiceError
from streaming.sound.pcm import AudioFormatError
from streaming.sounding import Sounding
from streaming.stored_turns import StoredTurns

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.lanes.base import Lane
    from streaming.ports import Identity, LaneServices

log = logging.getLogger(__name__)

WENT_WRONG = "something went wrong in the gateway"


@dataclass(frozen=True, slots=True)
class LaneEnd:
    """How a lane ended."""

    status: Literal["ok", "cancelled", "error"]
    code: str | None = None
    message: str | None = None


@dataclass(slots=True)
class _Running:
    lane: Lane
    task: asyncio.Task[LaneEnd]


class Session:
    """The lanes of one session. Their tasks are in `group`; a failing lane ends neither the group nor another lane."""

    def __init__(
        self,
        session_id: str,
        identity: Identity,
        provided: LaneServices,
        group: asyncio.TaskGroup,
        clock: Callable[[], float],
        listening_clock: Callable[[], float] | None = None,
    ) -> None:
        """`listening_clock`: as in LaneSetup; None: the client is present throughout."""
        self.session_id = session_id
        self.identity = identity
        self._roles = NewestRoles(identity.roles)
        self._provided = provided
        self._group = group
        self._clock = clock
        self._listening_clock = listening_clock or clock
        # By all lanes; made for the first one.
        self._shared: tuple[Sounding, OpenQuestions, StoredTurns] | None = None
        self._running: dict[int, _Running] = {}
        self._closed = False

    @property
    def busy(self) -> bool:
        """True while a lane is running."""
        return bool(self._running)

    @property
    def must_finish(self) -> bool:
        """True if moving to another replica now would lose a lane's work."""
        return any(running.lane.must_finish for running in self._running.values())

    def become(self, identity: Identity) -> None:
        """Use a new token of the same user. Its roles count at once, for running lanes too."""
        self.identity = identity
        self._roles.become(identity.roles)

    def open(
        self,
        channel: int,
        build: Callable[[LaneSetup], Lane],
        outlet: Outlet,
        on_end: Callable[[LaneEnd], None],
        traceparent: str = "",
    ) -> None:
        """Build and run a lane, as one span; `on_end` is called once. Raises AudioFormatError, LaneError, WrongInputError."""
        span = self._provided.tracer.span("channel", traceparent)
        context = CallContext(
            user_id=self.identity.user_id,
            roles=self._roles,
            session_id=self.session_id,
            request_id=f"{self.session_id}-{channel}",
            traceparent=span.traceparent,
        )
        try:
            clock, listening_clock = self._clock, self._listening_clock
            setup = LaneSetup(outlet, self._provided, context, clock, listening_clock, *self._share())
            lane = build(setup)
        except Exception as refused:
            span.end(refused)
            raise
        task = self._group.create_task(_run(lane), name=f"lane {self.session_id} {channel}")
        self._running[channel] = _Running(lane, task)

        def finished(task: asyncio.Task[LaneEnd]) -> None:
            self._running.pop(channel, None)
            span.end()
            on_end(LaneEnd("cancelled") if task.cancelled() else task.result())
            lane.forget()

        task.add_done_callback(finished)
        if self._closed:
            task.cancel()  # nobody would end it any more

    def _share(self) -> tuple[Sounding, OpenQuestions, StoredTurns]:
        self._shared = self._shared or (Sounding(), OpenQuestions(), StoredTurns())
        return self._shared

    @property
    def stored(self) -> StoredTurns:
        """The conversation's turns, of which memory may lack some."""
        return self._share()[2]

    def save(self) -> dict[str, Any]:
        """What another replica has to know beside the lanes, as JSON; empty if there is nothing."""
        return self._shared[2].save() if self._shared is not None else {}

    def unheard(self) -> None:
        """The client did not play our speech to its end, whatever the clock says."""
        if self._shared is not None:
            self._shared[1].unheard()

    def other_words(self) -> None:
        """The user said something that answers no question."""
        if self._shared is not None:
            self._shared[1].other_words()

    def lane(self, channel: int) -> Lane | None:
        """The channel's running lane."""
        running = self._running.get(channel)
        return running.lane if running else None

    def lanes(self) -> list[tuple[int, Lane]]:
        """All running lanes."""
        return [(channel, running.lane) for channel, running in self._running.items()]

    def cancel(self, channel: int) -> None:
        """Stop one lane; its `on_end` reports cancelled."""
        running = self._running.get(channel)
        if running is not None:
            running.task.cancel()

    def cancel_all(self) -> None:
        """Stop all lanes, as `cancel` does."""
        for channel in self._running:
            self.cancel(channel)

    async def close(self) -> None:
        """Stop all lanes, also those that are opened now or later, and wait until they have released their services."""
        self._closed = True
        while tasks := [running.task for running in self._running.values()]:  # the end of one may open another
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


async def _run(lane: Lane) -> LaneEnd:
    try:
        await lane.run()
    except Exception as error:  # noqa: BLE001 - whatever a lane fails with, it ends alone
        return _ended_by(_first(error), lane)
    return LaneEnd("ok")


def _first(error: BaseException) -> BaseException:
    """The first failure inside nested groups, which caused the others."""
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error


def _ended_by(error: BaseException, lane: Lane) -> LaneEnd:
    if isinstance(error, ServiceError):
        return LaneEnd("error", error.code, error.said)
    if isinstance(error, AudioFormatError):
        return LaneEnd("error", "INVALID_AUDIO", str(error))
    log.error("lane failed: %s", type(lane).__name__, exc_info=error)
    return LaneEnd("error", "INTERNAL", WENT_WRONG)
