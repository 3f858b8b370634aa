"""Taking a gateway down without losing a word: not ready, clients told in batches, work finished, sockets closed 1012."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING

import structlog

from streaming.protocol.messages import SessionDraining

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
    sessions = gateway.realtime.sessions
    log.info("draining", sockets=sum(live.socket is not None for live in sessions))
    await _tell(gateway)
    while _working(gateway) and asyncio.get_running_loop().time() < deadline:  # noqa: ASYNC110 - work ends in many places, and a drain is rare
        await asyncio.sleep(LOOK_S)
    await asyncio.gather(*(live.hand_over() for live in sessions))
    for live in sessions:
        live.leave(1012, "the gateway restarts: resume elsewhere")
    await asyncio.sleep(0)  # the writers send what waits before they close


def _working(gateway: Gateway) -> bool:
    at_work = any(
        (live.session.busy or live.commands.busy) and live.socket is not None for live in gateway.realtime.sessions
    )
    return at_work or gateway.requests_running > 0


async def _tell(gateway: Gateway) -> None:
    for index, live in enumerate(list(gateway.realtime.sessions)):
        if live.socket is not None:
            spread_ms = random.randrange(RECONNECT_SPREAD_MS)  # noqa: S311 - spreads load, guards nothing
            live.connection.send_message(SessionDraining(reconnect_after_ms=spread_ms))
            live.wake()
        if index % BATCH == BATCH - 1:
            await asyncio.sleep(BATCH_PAUSE_S)
