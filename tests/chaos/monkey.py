"""The faults, by name. Each one restores the cluster in the end."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from typing import TYPE_CHECKING

import redis

if TYPE_CHECKING:
    import random
    from collections.abc import Awaitable, Callable

    from tests.chaos.client import Client
    from tests.chaos.topology import Cluster


async def _nothing(_cluster: Cluster, _clients: list[Client], _dice: random.Random) -> None:
    """A quiet day."""


async def _kill(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    port = dice.choice(cluster.ports)
    await asyncio.to_thread(cluster.kill_gateway, port)
    await asyncio.to_thread(cluster.start_gateway, port)


async def _restart(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    port = dice.choice(cluster.ports)
    await asyncio.to_thread(cluster.drain_gateway, port)
    await asyncio.to_thread(cluster.start_gateway, port)


async def _kill_while(cluster: Cluster, dice: random.Random, seconds: float) -> None:
    """A gateway dies while something else is broken."""
    await asyncio.sleep(seconds * dice.random())
    if dice.random() < 0.5:
        port = dice.choice(cluster.ports)
        await asyncio.to_thread(cluster.kill_gateway, port)
        await asyncio.to_thread(cluster.start_gateway, port)
    else:
        await asyncio.sleep(seconds / 2)


async def _redis_stopped(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    cluster.redis.signal(signal.SIGSTOP)
    try:
        await _kill_while(cluster, dice, dice.choice((0.3, 2.0, 5.0)))
    finally:
        cluster.redis.signal(signal.SIGCONT)


async def _redis_killed(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    cluster.redis.signal(signal.SIGKILL)
    try:
        await _kill_while(cluster, dice, dice.choice((0.2, 2.0)))
    finally:
        await asyncio.to_thread(cluster.redis.start)


async def _redis_lost(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    """Killed, and started again without what it had kept."""
    cluster.redis.signal(signal.SIGKILL)
    cluster.redis.forget()
    try:
        await _kill_while(cluster, dice, dice.choice((0.2, 2.0)))
    finally:
        await asyncio.to_thread(cluster.redis.start)


async def _redis_flushed(cluster: Cluster, _clients: list[Client], _dice: random.Random) -> None:
    cluster.redis.ask("FLUSHALL")


async def _redis_read_only(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    cluster.redis.ask("CONFIG", "SET", "min-replicas-to-write", "1")
    try:
        await _kill_while(cluster, dice, dice.choice((0.5, 4.0)))
    finally:
        cluster.redis.ask("CONFIG", "SET", "min-replicas-to-write", "0")


async def _redis_full(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    cluster.redis.ask("CONFIG", "SET", "maxmemory-policy", "noeviction")
    cluster.redis.ask("CONFIG", "SET", "maxmemory", "1")
    try:
        await _kill_while(cluster, dice, dice.choice((0.5, 4.0)))
    finally:
        cluster.redis.ask("CONFIG", "SET", "maxmemory", "0")


async def _redis_slow(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    for _ in range(10):
        with contextlib.suppress(redis.RedisError):
            cluster.redis.ask("CLIENT", "PAUSE", "300", "ALL")
        await asyncio.sleep(0.4)
    await _kill_while(cluster, dice, 0.5)


async def _redis_reset(cluster: Cluster, _clients: list[Client], _dice: random.Random) -> None:
    for kind in ("normal", "pubsub"):
        cluster.redis.ask("CLIENT", "KILL", "TYPE", kind)


async def _service_killed(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    service = dice.choice(list(cluster.services.values()))
    service.signal(signal.SIGKILL)
    await asyncio.to_thread(service.start)


async def _service_stopped(cluster: Cluster, _clients: list[Client], dice: random.Random) -> None:
    service = dice.choice(list(cluster.services.values()))
    service.signal(signal.SIGSTOP)
    await asyncio.sleep(dice.choice((1.0, 4.0)))
    service.signal(signal.SIGCONT)


async def _cut(_cluster: Cluster, clients: list[Client], dice: random.Random) -> None:
    for client in clients:
        if dice.random() < 0.5:
            client.cut(half_a_frame=dice.random() < 0.5)


FAULTS: dict[str, Callable[[Cluster, list[Client], random.Random], Awaitable[None]]] = {
    "none": _nothing,
    "kill": _kill,
    "restart": _restart,
    "cut": _cut,
    "redis-stopped": _redis_stopped,
    "redis-killed": _redis_killed,
    "redis-lost": _redis_lost,
    "redis-flushed": _redis_flushed,
    "redis-read-only": _redis_read_only,
    "redis-full": _redis_full,
    "redis-slow": _redis_slow,
    "redis-reset": _redis_reset,
    "service-killed": _service_killed,
    "service-stopped": _service_stopped,
}
LOSES_DATA = {
    "redis-flushed",
    "redis-killed",
    "redis-lost",
    "redis-stopped",
    "redis-read-only",
    "redis-full",
    "redis-slow",
}
"""Sessions may be lost by these, as long as they are told so."""
