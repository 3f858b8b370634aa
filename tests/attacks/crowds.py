"""Hostile clients that keep within each limit of one connection, and are many: nobody is ended, and the talkers should not notice."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from tests.attacks.offenders import FLOODS, OPEN, Client, Ended, Flood, said

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.attacks.offenders import Target

STEPS, STEP_S = 20, 0.1
IN_ONE_READ = 3


async def _stay(client: Client, step: Callable[[int], bytes]) -> Ended:
    """Send what `step` makes ten times a second, and leave after two seconds."""

    async def send() -> None:
        for number in range(STEPS):
            await client.send(step(number))
            await asyncio.sleep(STEP_S)
        client.writer.transport.abort()

    ended = await client.ended(send())
    return Ended(OPEN, ended.seconds) if ended.by == "cut" else ended


async def calls(target: Target, name: str) -> Ended:
    """Calls of one user over many sockets, nearly all beyond the rate limit, a few in each read."""
    client = await Client.entered(target, name)
    call = {"type": "call", "op": "agent.intent", "params": {"text": "hi"}}
    return await _stay(client, lambda n: b"".join(said({**call, "id": f"c{n}-{i}"}) for i in range(IN_ONE_READ)))


async def observers(target: Target, name: str) -> Ended:
    """Each opens as many observers as it has channels, all of the first one's session, and all send pings."""
    client = await Client.entered(target, name)
    params = {"session_id": name.rpartition("-")[0] + "-0"}
    for number in range(16):
        await client.send(
            said({"type": "channel.open", "channel": 2 * number + 1, "kind": "observe", "params": params})
        )
    return await _stay(client, lambda n: said({"type": "ping", "t": n}) * 15)


async def metrics(target: Target, _name: str) -> Ended:
    """Asks for the metrics as fast as they come."""
    return await _ask(target, "/metrics")


async def health(target: Target, _name: str) -> Ended:
    return await _ask(target, "/health")


async def _ask(target: Target, path: str) -> Ended:
    client = await Client.connected(target)
    request = f"GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{target.port}\r\n\r\n".encode()
    return await _stay(client, lambda _: request)


CROWDS = {
    "calls of a user": Flood(calls, (OPEN, "1008", "4029"), 20),
    "observers of a user": Flood(observers, (OPEN, "1008", "4029"), 20),
    "metrics": Flood(metrics, (OPEN,), 20, enters=False),
    "health": Flood(health, (OPEN,), 20, enters=False),
}
ALL = FLOODS | CROWDS
