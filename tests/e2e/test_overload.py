"""A gateway that is really overloaded: it refuses newcomers, keeps the live audio, and recovers without a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from tests.bench.microphones.audio import FRAME_S, marked
from tests.support.gateway import running_gateway

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.gateway import GatewayProcess

FREELY = {"WS_HANDSHAKES_PER_MINUTE": "1000000", "EMBEDDED": "false", "DEBUG": "false", "REDIS_URL": ""}
STOPPED_S, RUNNING_S = 0.3, 0.05
WITHIN_S = 20.0


class Recogniser:
    """The benchmark's recogniser, which only counts."""

    def __init__(self, running: subprocess.Popen[str]) -> None:
        assert running.stdin is not None
        assert running.stdout is not None
        self._in, self._out = running.stdin, running.stdout
        self.address = f"127.0.0.1:{self._out.readline().strip()}"

    def report(self, name: str) -> int:
        self._in.write("report\n")
        self._in.flush()
        return int(json.loads(self._out.readline())[name])


@contextmanager
def recogniser() -> Iterator[Recogniser]:
    command = [sys.executable, "-m", "tests.bench.microphones.recogniser"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as running:
        try:
            yield Recogniser(running)
        finally:
            running.terminate()


async def load(gateway: GatewayProcess) -> str:
    answer = await AsyncHTTPClient().fetch(f"http://127.0.0.1:{gateway.port}/health", raise_error=False)
    return str(json.loads(answer.body)["load"])


async def status_of_a_newcomer(gateway: GatewayProcess) -> tuple[int, str]:
    """Status and Retry-After of a handshake."""
    url = f"{gateway.ws}/ws/newcomer-{time.monotonic_ns()}"
    bearer = {"Authorization": f"Bearer {gateway.own_token('newcomer', 'user')}"}
    try:
        (await websocket_connect(HTTPRequest(url, headers=bearer))).close()
    except HTTPClientError as refused:
        return refused.code, refused.response.headers.get("Retry-After", "") if refused.response is not None else ""
    return 101, ""


async def until_all_is_normal(gateway: GatewayProcess) -> None:
    """The machine, too, may be busy for a moment."""
    async with asyncio.timeout(WITHIN_S):
        while (await status_of_a_newcomer(gateway), await load(gateway)) != ((101, ""), "normal"):
            await asyncio.sleep(0.2)


@asynccontextmanager
async def stumbling(gateway: GatewayProcess) -> AsyncIterator[None]:
    """The process is stopped again and again, so that its loop is late."""

    async def stumble() -> None:
        try:
            while True:
                os.kill(gateway.process.pid, signal.SIGSTOP)
                await asyncio.sleep(STOPPED_S)
                os.kill(gateway.process.pid, signal.SIGCONT)
                await asyncio.sleep(RUNNING_S)
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)

    async with asyncio.TaskGroup() as group:
        stumbler = group.create_task(stumble(), name="stumble")
        yield
        stumbler.cancel()


@asynccontextmanager
async def talking(gateway: GatewayProcess) -> AsyncIterator[None]:
    """A microphone that sends a frame every 20 ms."""
    bearer = {"Authorization": f"Bearer {gateway.own_token('talker', 'user')}"}
    socket = await websocket_connect(HTTPRequest(f"{gateway.ws}/ws/talker", headers=bearer))
    await socket.write_message(json.dumps({"type": "channel.open", "channel": 1, "kind": "stt", "params": {}}))

    async def talk() -> None:
        number = 0
        while True:
            frame = struct.pack(">BBHIII", 1, 0, 1, 0, number, number * 20) + marked(0, number)
            await socket.write_message(frame, binary=True)
            number += 1
            await asyncio.sleep(FRAME_S)

    async def read() -> None:
        while (message := await socket.read_message()) is not None:
            event: dict[str, Any] = json.loads(message)
            assert event["type"] not in {"error", "channel.closed"}, event

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(talk(), name="talk"), group.create_task(read(), name="read")]
        yield
        for task in tasks:
            task.cancel()
    socket.close()


@pytest.mark.gen_test(timeout=90)
async def test_newcomers_are_refused_live_audio_goes_on_and_it_recovers_by_itself(tmp_path: Path) -> None:
    with recogniser() as ear:
        settings = {**FREELY, "VOICE_STT_GRPC_URL": ear.address, "OVERLOAD_LAG_MS": "100"}
        with running_gateway(tmp_path, **settings) as gateway:
            await until_all_is_normal(gateway)
            async with talking(gateway):
                async with stumbling(gateway), asyncio.timeout(WITHIN_S):
                    while await status_of_a_newcomer(gateway) != (503, "2"):
                        await asyncio.sleep(0.1)
                    before = ear.report("frames")
                    while ear.report("frames") < before + 25:
                        await asyncio.sleep(0.1)
                    assert await load(gateway) != "normal"
                await until_all_is_normal(gateway)
                assert ear.report("gaps") == 0
