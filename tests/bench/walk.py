"""A microphone frame's walk within one process, by stage: from a read of its socket to the bytes of a trunk's message.

Real frames, session, lane and trunk, without sockets and clients; the counting recogniser is another process. CPU is that of this
thread in the best round. In a whole gateway a frame costs two to three times as much, because its caches are cold: compare two
states of the code, not this figure with another.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import uvloop

from server.net.loop_turns import LoopTurns
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import FrameSocket
from server.services import SERVICES
from server.upstream import ServiceEndpoint, Upstream
from server.upstream.stream import write_bytes
from streaming.protocol import frame
from streaming.protocol.limits import Limits
from tests.bench.machine import head, say
from tests.bench.microphones.__main__ import recogniser
from tests.bench.microphones.audio import marked
from tests.server.net.websocket import client_frames
from tests.support.house import House
from tests.support.world import World

if TYPE_CHECKING:
    from server.upstream.trunk import Trunk
    from streaming.ports import Services

PAUSE_S = 0.02  # between two rounds, as at a microphone


class _Handler:
    """What a FrameSocket uses of its handler."""

    def __init__(self, line: Any) -> None:
        self.on_messages = line.feed


class _Transport:
    """A transport that is asked nothing."""

    def is_closing(self) -> bool:
        return False


class _World(World):
    """Scripted services, and a real recogniser."""

    def __init__(self, upstream: Upstream) -> None:
        super().__init__()
        self._upstream = upstream

    def services(self) -> Services:
        return replace(super().services(), stt=self._upstream.services.stt)


async def sockets(house: House, talkers: int) -> list[FrameSocket]:
    """So many, each with an open microphone."""
    found = []
    for number in range(talkers):
        client = await house.enter(f"s{number}")
        client.say(type="channel.open", channel=1, kind="stt", params={})
        await client.until("channel.opened", channel=1)
        handler: Any = _Handler(client.line)
        socket = FrameSocket(handler, SocketLimits(1 << 20, 1 << 20, frames_burst=10**9), LoopTurns())
        socket.express = client.line.hear
        socket.transport = _Transport()  # type: ignore[assignment]
        found.append(socket)
    return found


async def walk(trunk: Trunk, found: list[FrameSocket], rounds: int) -> tuple[float, float]:
    """The best CPU of a frame in µs: into its stream, and into a message."""
    best = [float("inf"), float("inf")]
    call: Any = trunk._call
    for number in range(rounds):
        data = [
            client_frames.frame(client_frames.BINARY, frame.encode(1, marked(talker, number), seq=number))
            for talker in range(len(found))
        ]
        began = time.thread_time()
        for socket, each in zip(found, data, strict=True):
            socket.data_received(each)
        heard = time.thread_time()
        messages = trunk._messages()
        gathered = time.thread_time()
        best = [min(best[0], heard - began), min(best[1], gathered - heard)]
        for message in messages:
            await write_bytes(call, message)
        await asyncio.sleep(PAUSE_S)
    return best[0] / len(found) * 1e6, best[1] / len(found) * 1e6


async def measure(options: argparse.Namespace, address: str) -> None:
    endpoints = [
        ServiceEndpoint(name, address if name == "stt" else "127.0.0.1:1", service.deadline_ms, None, 1)
        for name, service in SERVICES.items()
    ]
    upstream = Upstream(endpoints)
    await upstream.start()
    client: Any = upstream.services.stt
    client.open_trunks()
    while (trunk := client._trunks.pick()) is None:
        await asyncio.sleep(0.01)
    async with asyncio.TaskGroup() as group:
        limits = Limits(audio_bytes_per_s=10**9, audio_burst_bytes=10**9)
        house = House(_World(upstream), group, limits)
        found = await sockets(house, options.talkers)
        heard_us, gathered_us = await walk(trunk, found, options.rounds)
        say(f"read to stream {heard_us:.2f} µs, stream to message {gathered_us:.2f} µs a frame")
        await house.sessions.close()
    await upstream.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--talkers", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    head(f"the walk of a microphone frame, {given.talkers} talkers, the best of {given.rounds} rounds")
    with tempfile.TemporaryDirectory() as directory, recogniser(Path(directory)) as ear:
        uvloop.run(measure(given, ear.address))
