"""Take a gateway down without losing a word: clients are told, each session leaves as soon as it may, and the rest gets time."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from streaming.residents import Departure

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.gateway import Gateway
    from streaming.residents import Resident

log = structlog.get_logger(__name__)

BATCH = 50  # sockets closed at once: their reconnects reach the other replicas in waves
LOOK_S = 0.1  # between two waves
PAUSE_S = 2.0  # a session that speaks or listens gets so long to come to a pause, or its client to move by itself
CLOSE_SHARE = 0.1  # of the time, kept for closing whatever is still at work
RECONNECT_SPREAD_MS = 250  # the waves spread the load; nobody should be without a socket for long


async def drain(gateway: Gateway, within_s: float) -> None:
    """Return when every session has left and every request is answered, at the latest after `within_s`.

    An idle session leaves at once, one that speaks or listens after `PAUSE_S` at the latest: another replica continues it.
    A session leaves later only while it does what no other replica could continue (see `Resident.must_finish`).
    """
    gateway.draining = True
    clock = asyncio.get_running_loop().time
    began = clock()
    deadline = began + within_s * (1 - CLOSE_SHARE)
    staying = list(gateway.residents)
    log.info("draining", sockets=sum(resident.connected for resident in staying))
    for resident in staying:
        if resident.connected:
            resident.announce_drain(random.randrange(RECONNECT_SPREAD_MS))  # noqa: S311 - spreads load, guards nothing
    while (staying or gateway.requests_running) and clock() < deadline:
        leaving = _may_leave(staying, paused_enough=clock() >= began + PAUSE_S)
        await _leave(leaving)
        gone = set(leaving)
        staying = [resident for resident in staying if resident not in gone]
        await asyncio.sleep(LOOK_S)
    await _leave(staying)
    await asyncio.sleep(0)  # the writers send what waits before they close


def _may_leave(staying: list[Resident], *, paused_enough: bool) -> list[Resident]:
    """The next wave."""
    ready: Callable[[Resident], bool] = (
        (lambda resident: not resident.must_finish) if paused_enough else (lambda resident: not resident.busy)
    )
    return [resident for resident in staying if not resident.connected or ready(resident)][:BATCH]


async def _leave(leaving: list[Resident]) -> None:
    """Each leaves as soon as its own record is saved: its client is not heard any more from then on."""
    await asyncio.gather(*(_hand_over(resident) for resident in leaving))


async def _hand_over(resident: Resident) -> None:
    """Save what another replica needs, then close the socket."""
    await resident.hand_over()
    resident.leave(Departure.RESTART)
