"""A gateway that is really overloaded: it refuses newcomers, then progress, keeps the live audio, and recovers without a restart."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import struct
import subprocess
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import AsyncHTTPClient, HTTPClientError, HTTPRequest
from tornado.websocket import websocket_connect

from protos import executor_pb2, safety_pb2
from tests.bench.microphones.audio import FRAME_S, marked
from tests.support.gateway import running_gateway
from tests.support.services import FakeServices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

    from tests.support.gateway import GatewayProcess
    from tests.support.services import Call

FREELY = {"WS_HANDSHAKES_PER_MINUTE": "1000000", "EMBEDDED": "false", "DEBUG": "false", "REDIS_URL": ""}
ENDLESS = {"GRPC_DEADLINE_MS": "300000"}  # a task that goes on for as long as the test
STOPPED_S, RUNNING_S = 0.3, 0.05
WITHIN_S = 200.0  # for a machine that is busy itself
FULL_WITHIN_S = 400.0  # until the memory is full; a busy machine took more than 120
ORDER_WITHIN_S = 400.0
LAG_MS = 100  # busy; twice as much is very busy
PROGRESS_S = 0.02
STEP_S = 0.5  # between two looks at the load: some measurements of the lag
UNACKNOWLEDGED = 25  # calls of one session; each answer has some 52 kB, of few parts, which cost little to make
UPLOADS_AT_ONCE = 70  # they fill the memory, unless some have ended
UPLOADS_OF_ONE = 16
HELD_BYTES = 1000 * 1024  # of an upload that does not end; beyond 1 MiB it goes to a file


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


def changes(gateway: GatewayProcess) -> int:
    """How often its load has changed."""
    return gateway.log.read_text().count("load changed")


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


class Stumbling:
    """How long the process is stopped each time."""

    stopped_s = STOPPED_S


@asynccontextmanager
async def stumbling(gateway: GatewayProcess) -> AsyncIterator[Stumbling]:
    """The process is stopped again and again, so that its loop is late."""
    how = Stumbling()

    async def stumble() -> None:
        try:
            while True:
                os.kill(gateway.process.pid, signal.SIGSTOP)
                await asyncio.sleep(how.stopped_s)
                os.kill(gateway.process.pid, signal.SIGCONT)
                await asyncio.sleep(RUNNING_S)
        finally:
            os.kill(gateway.process.pid, signal.SIGCONT)

    async with asyncio.TaskGroup() as group:
        stumbler = group.create_task(stumble(), name="stumble")
        yield how
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


class Progress:
    """What a task without end has told: its service speaks every PROGRESS_S, without output."""

    told = 0


@asynccontextmanager
async def progressing(gateway: GatewayProcess) -> AsyncIterator[Progress]:
    """A session with such a task."""
    bearer = {"Authorization": f"Bearer {gateway.own_token('worker', 'admin')}"}
    socket = await websocket_connect(HTTPRequest(f"{gateway.ws}/ws/worker", headers=bearer))
    params = {"executor": "os", "action": "work", "parameters": {}}
    await socket.write_message(json.dumps({"type": "channel.open", "channel": 1, "kind": "execute", "params": params}))
    progress = Progress()

    async def read() -> None:
        while (message := await socket.read_message()) is not None:
            event: dict[str, Any] = json.loads(message)
            assert event["type"] not in {"error", "channel.closed", "task.result"}, event
            if event["type"] == "task.progress":
                progress.told += 1
                await socket.write_message(json.dumps({"type": "ack", "seq": event["seq"]}))

    async with asyncio.TaskGroup() as group:
        reading = group.create_task(read(), name="read progress")
        async with asyncio.timeout(WITHIN_S):
            while not progress.told:
                await asyncio.sleep(PROGRESS_S)
        yield progress
        reading.cancel()
    socket.close()


@asynccontextmanager
async def services() -> AsyncIterator[dict[str, str]]:
    """The settings with the addresses of a safety service that allows all, and of an executor."""

    async def work(call: Call) -> None:
        await call.read()
        while True:
            await call.write(executor_pb2.ExecuteEvent(progress=executor_pb2.Progress(message="on")))
            await asyncio.sleep(PROGRESS_S)

    verdict = safety_pb2.Verdict(verdict="allow", risk="low", reasons=["harmless"])
    info = executor_pb2.ActionInfo(name="work", description="x" * 2_000)
    async with FakeServices("os", "safety") as fakes:
        fakes.os.answer("ListActions", executor_pb2.ListActionsResponse(actions=[info] * 26))
        fakes.safety.answer("Check", safety_pb2.CheckResponse(verdict=verdict, actions=[verdict]))
        fakes.os.on("Execute", work)
        yield {"OS_GRPC_URL": fakes.os.address, "SAFETY_GRPC_URL": fakes.safety.address}


async def test_newcomers_are_refused_before_progress_and_live_audio_never(tmp_path: Path) -> None:
    """Lag grows until both steps are seen, each in a look during which the load did not change: audio goes on, progress at the first."""
    with recogniser() as ear:
        async with services() as urls:
            settings = {**FREELY, **ENDLESS, **urls, "VOICE_STT_GRPC_URL": ear.address, "OVERLOAD_LAG_MS": str(LAG_MS)}
            with running_gateway(tmp_path, **settings) as gateway:
                await until_all_is_normal(gateway)
                async with talking(gateway), progressing(gateway) as progress:
                    seen = {"busy": False, "very_busy": False}
                    looks: list[tuple[int, str]] = []
                    async with stumbling(gateway) as stumbles, asyncio.timeout(ORDER_WITHIN_S):
                        stumbles.stopped_s = 0.15
                        while not all(seen.values()):
                            changed = changes(gateway)
                            refused = await status_of_a_newcomer(gateway)
                            told, frames = progress.told, ear.report("frames")
                            await asyncio.sleep(STEP_S)
                            passed = progress.told > told, ear.report("frames") > frames
                            now = await load(gateway)
                            if now in seen and changes(gateway) == changed:
                                looks.append(refused)
                                seen[now] |= passed == (now == "busy", True)  # at some looks the machine is too busy
                            wanted = "very_busy" if seen["busy"] else "busy"
                            stumbles.stopped_s *= 1.0 if now == wanted else 0.8 if now == "very_busy" else 1.1
                    assert set(looks) == {(503, "2")}
                    await until_all_is_normal(gateway)
                    told = progress.told
                    async with asyncio.timeout(WITHIN_S):
                        while progress.told == told:
                            await asyncio.sleep(PROGRESS_S)
                    assert ear.report("gaps") == 0


@asynccontextmanager
async def unfinished_uploads(gateway: GatewayProcess) -> AsyncIterator[None]:
    """So many that newcomers are refused: each is kept in memory until its end comes."""
    head = (
        "POST /api/v1/voice/stt HTTP/1.1\r\nHost: 127.0.0.1\r\n"
        f"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {2 * HELD_BYTES}\r\n"
    )
    body = '\r\n\r\n--b\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n'
    writers: list[asyncio.StreamWriter] = []

    async def upload() -> None:
        _, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writers.append(writer)
        token = gateway.own_token(f"uploader-{len(writers) // UPLOADS_OF_ONE}", "user")
        writer.write(f"{head}Authorization: Bearer {token}{body}".encode() + bytes(HELD_BYTES))
        await writer.drain()

    try:
        async with asyncio.timeout(FULL_WITHIN_S):
            # All at once: the gateway gives an upload a minute, and on a busy machine some a time would end before the last begin.
            while await status_of_a_newcomer(gateway) != (503, "2"):
                async with asyncio.TaskGroup() as group:
                    for _ in range(UPLOADS_AT_ONCE):
                        group.create_task(upload(), name="upload")
        yield
    finally:
        for writer in writers:
            writer.transport.abort()


@asynccontextmanager
async def answers_that_nobody_acknowledges(gateway: GatewayProcess) -> AsyncIterator[None]:
    """So many that newcomers are refused. Between these sessions there are others, whose memory lies behind theirs."""
    async with AsyncExitStack() as others:
        sockets: list[Any] = []

        async def opened(name: str) -> Any:
            """A socket, or None if there is no more room for newcomers."""
            bearer = {"Authorization": f"Bearer {gateway.own_token(name, 'admin')}"}
            try:
                return await websocket_connect(HTTPRequest(f"{gateway.ws}/ws/{name}", headers=bearer))
            except HTTPClientError as refused:
                if refused.code != HTTPStatus.SERVICE_UNAVAILABLE:
                    raise
                return None

        async with asyncio.timeout(FULL_WITHIN_S):
            while (socket := await opened(f"hog-{len(sockets)}")) is not None:
                sockets.append(socket)
                for number in range(UNACKNOWLEDGED):
                    call = {"type": "call", "id": f"c{number}", "op": "executor.os.commands", "params": {}}
                    await socket.write_message(json.dumps(call))
                answers = 0
                while answers < UNACKNOWLEDGED:
                    answers += json.loads(await socket.read_message() or "{}")["type"] == "result"
                if len(sockets) % 4 == 0 and (other := await opened(f"other-{len(sockets)}")) is not None:
                    others.callback(other.close)
        yield
        for socket in sockets:
            socket.close()
        await until_all_is_normal(gateway)  # before the others leave


@asynccontextmanager
async def another_session(gateway: GatewayProcess) -> AsyncIterator[None]:
    """The last one that there is room for."""
    bearer = {"Authorization": f"Bearer {gateway.own_token('last', 'user')}"}
    socket = await websocket_connect(HTTPRequest(f"{gateway.ws}/ws/last", headers=bearer))
    yield
    socket.close()


MEMORY = {"OVERLOAD_MEMORY_MB": "140", "WS_RESUME_SECONDS": "1"}
SESSIONS = {"WS_MAX_SESSIONS": "3", "WS_RESUME_SECONDS": "1"}


@pytest.mark.parametrize(
    ("limit", "filled"),
    [(MEMORY, unfinished_uploads), (MEMORY, answers_that_nobody_acknowledges), (SESSIONS, another_session)],
)
async def test_memory_and_sessions_shed_newcomers_alone(tmp_path: Path, limit: dict[str, str], filled: Any) -> None:
    with recogniser() as ear:
        async with services() as urls:
            settings = {**FREELY, **ENDLESS, **urls, **limit, "VOICE_STT_GRPC_URL": ear.address, "OVERLOAD_LAG_MS": "0"}
            with running_gateway(tmp_path, **settings) as gateway:
                async with talking(gateway), progressing(gateway) as progress:
                    async with filled(gateway), asyncio.timeout(WITHIN_S):
                        assert await status_of_a_newcomer(gateway) == (503, "2")
                        told, frames = progress.told, ear.report("frames")
                        while progress.told < told + 25 or ear.report("frames") < frames + 25:
                            await asyncio.sleep(PROGRESS_S)
                        assert await status_of_a_newcomer(gateway) == (503, "2")
                    await until_all_is_normal(gateway)
                    assert ear.report("gaps") == 0
