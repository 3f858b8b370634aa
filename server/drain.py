"""Takes a gateway down without losing a word: it is not ready, clients are told in batches, work ends, sockets close."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from streaming.residents import Departure

if TYPE_CHECKING:
    from server.gateway import Gateway

log = structlog.get_logger(__name__)

BATCH = 50  # clients told at once: their reconnects reach the other replicas in waves
BATCH_PAUSE_S = 0.1
LOOK_S = 0.05
CLOSE_SHARE = 0.1  # of the time, kept for closing what is still at work
RECONNECT_SPREAD_MS = 2_000


async def drain(gateway: Gateway, within_s: float) -> None:
    """Returns when every socket was told to go, at the latest after `within_s`."""
    gateway.draining = True
    deadline = asyncio.get_running_loop().time() + within_s * (1 - CLOSE_SHARE)
    log.info("draining", sockets=sum(resident.connected for resident in gateway.residents))
    await _tell(gateway)
    while _working(gateway) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - work ends in many places, and a drain is rare
        await asyncio.sleep(LOOK_S)
    await asyncio.gather(*(resident.hand_over() for resident in gateway.residents))
    for resident in gateway.residents:
        resident.leave(Departure.RESTART)
    await asyncio.sleep(0)  # the writers send what waits before they close


def _working(gateway: Gateway) -> bool:
    at_work = any(resident.busy and resident.connected for resident in gateway.residents)
    return at_work or gateway.requests_running > 0


async def _tell(gateway: Gateway) -> None:
    for index, resident in enumerate(gateway.residents):
        if resident.connected:
            resident.announce_drain(random.randrange(RECONNECT_SPREAD_MS))  # noqa: S311 - spreads load, guards nothing
        if index % BATCH == BATCH - 1:
            await asyncio.sleep(BATCH_PAUSE_S)
