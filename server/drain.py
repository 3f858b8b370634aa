"""Graceful shutdown: clients are told, each session leaves as soon as it can, and the others get time to finish."""

from __future__ import annotations

import asyncio
import math
import random
from collections import Counter
from typing import TYPE_CHECKING

import structlog

from streaming.residents import Departure

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.gateway import Gateway
    from streaming.residents import Resident

log = structlog.get_logger(__name__)

BATCH = 50  # sockets closed at once, so that clients reach other replicas in waves
LOOK_S = 0.1  # pause between two waves
# The same once only sessions are left that must finish. One that begins its next work at once leaves in the pause between two,
# if that is noticed: a tenth of a second is longer than many such pauses.
CLOSE_LOOK_S = 0.02
PAUSE_S = 2.0  # a session that is speaking or listening has this long to pause, or its client to reconnect
TELL_S = 5.0  # a drain that takes longer says once what it waits for
# If only requests are left by then, no more connections are taken: a proxy that sends one new request after the other here would keep the
# drain waiting to its end. Most notice that `/ready` says 503; nginx only notices a connection that is refused.
REFUSE_S = 5.0
CLOSE_SHARE = 0.1  # share of the time reserved for closing sessions still at work
RECONNECT_SPREAD_MS = 250  # the waves already spread the load; nobody should be without a socket for long


async def drain(gateway: Gateway, within_s: float) -> None:
    """Return when every session has left and every request is answered, at most `within_s` later.

    An idle session leaves at once, a speaking or listening one after `PAUSE_S` at the latest; another replica continues it.
    A session stays longer only while it does something that no other replica could continue (see `Resident.must_finish`).
    """
    gateway.draining = True
    clock = asyncio.get_running_loop().time
    began = clock()
    deadline = began + within_s * (1 - CLOSE_SHARE)
    log.info("draining", sockets=sum(resident.connected for resident in gateway.residents))
    told: set[Resident] = set()
    left: set[Resident] = set()
    tell_at, refuse_at = began + TELL_S, began + REFUSE_S
    async with asyncio.TaskGroup() as leaving:  # a session whose record takes long delays no other
        while True:
            # Looked up anew: a socket may have been opened before, and begin its session only now.
            staying = [resident for resident in gateway.residents if resident not in left]
            for resident in staying:
                if resident.connected and resident not in told:
                    told.add(resident)
                    resident.announce_drain(random.randrange(RECONNECT_SPREAD_MS))  # noqa: S311 - spreads load
            done = not (staying or gateway.requests_running) or clock() >= deadline
            paused_enough = clock() >= began + PAUSE_S
            wave = staying if done else _may_leave(staying, paused_enough=paused_enough)
            for resident in wave:
                leaving.create_task(_hand_over(resident), name="hand over")
            if done:
                break
            left.update(wave)
            if clock() >= refuse_at and left.issuperset(staying):
                refuse_at = math.inf
                gateway.stop_listening()
            if clock() >= tell_at:
                tell_at = math.inf
                _tell_what_stays(gateway, [resident for resident in staying if resident not in left])
            await asyncio.sleep(CLOSE_LOOK_S if paused_enough and len(wave) < BATCH else LOOK_S)
    log.info("drained", seconds=round(clock() - began, 3), cut_short=len(wave))
    await asyncio.sleep(0)  # let the writers send what waits before they close


def _tell_what_stays(gateway: Gateway, staying: list[Resident]) -> None:
    """Log what another replica could not continue: the channels of the sessions, and the paths of the requests."""
    channels = sum((resident.channels for resident in staying), Counter[str]())
    requests = Counter(task.get_name() for task in gateway.requests)
    log.info("still draining", sessions=len(staying), channels=dict(channels), requests=dict(requests))


def _may_leave(staying: list[Resident], *, paused_enough: bool) -> list[Resident]:
    """The next wave of sessions."""
    ready: Callable[[Resident], bool] = (
        (lambda resident: not resident.must_finish) if paused_enough else (lambda resident: not resident.busy)
    )
    return [resident for resident in staying if not resident.connected or ready(resident)][:BATCH]


async def _hand_over(resident: Resident) -> None:
    """Save what another replica needs, then close the socket. Its client is not heard any more meanwhile."""
    await resident.hand_over()
    resident.leave(Departure.RESTART)
