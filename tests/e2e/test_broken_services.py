"""Each service killed or hanging during a turn: the user gets a clear error and an apology, and the socket stays open."""

from __future__ import annotations

import asyncio
import json
import resource
import signal
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from tornado.httpclient import AsyncHTTPClient

from streaming.client.errors import GatewayError
from streaming.protocol import messages
from streaming.protocol.messages import TurnParams
from tests.support.gateway import (
    LIGHT,
    GatewayProcess,
    Heard,
    client,
    environment,
    listen,
    running_gateway,
    say,
    speech,
)
from tests.support.replicas import VARIABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from streaming.client.channel import GatewayChannel
    from streaming.client.gateway import GatewayClient


class ServiceProcess:
    """One embedded service in a process of its own, always at the same address."""

    def __init__(self, name: str, directory: Path) -> None:
        self.name = name
        self.address = "127.0.0.1:0"
        self._directory = directory
        self.begin()

    def start(self) -> None:
        self.begin()
        self.until_ready()

    def begin(self) -> None:
        command = [sys.executable, "-m", "server.embedded", "--with-parent", "--directory", str(self._directory)]
        self.process = subprocess.Popen(
            [*command, f"{self.name}={self.address}"],
            cwd=self._directory,
            env=environment(self._directory, **LIGHT),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def until_ready(self) -> None:
        assert self.process.stdout is not None
        self.address = json.loads(self.process.stdout.readline())["bound"][self.name]
        assert json.loads(self.process.stdout.readline()) == {"ready": True, "down": {}}

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It takes connections and calls, and answers none."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@pytest.fixture(scope="module")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, ServiceProcess]]:
    directory = tmp_path_factory.mktemp("services")
    started = {name: ServiceProcess(name, directory) for name in VARIABLES}
    for service in started.values():
        service.until_ready()
    yield started
    for service in started.values():
        service.kill()


@pytest.fixture(scope="module")
def remote(services: dict[str, ServiceProcess], tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    """A gateway that starts no services of its own."""
    urls = {VARIABLES[name]: service.address for name, service in services.items()}
    settings = {"EMBEDDED": "false", "REDIS_URL": "", "BREAKER_OPEN_SECONDS": "0.2", **urls}
    with running_gateway(tmp_path_factory.mktemp("remote"), **settings) as running:
        yield running


HUNG_MS = 700
HUNG_CALLS = 4  # at most so many of a turn wait for a service that hangs


@contextmanager
def impatient(services: dict[str, ServiceProcess], directory: Path, name: str) -> Iterator[GatewayProcess]:
    """A gateway that does not wait long for this service."""
    urls = {VARIABLES[each]: service.address for each, service in services.items()}
    hasty = {"GRPC_DEADLINES_MS": f"{name}={HUNG_MS}", "BREAKER_OPEN_SECONDS": "0.2"}
    with running_gateway(directory, **hasty, EMBEDDED="false", REDIS_URL="", **urls) as running:
        yield running


async def deadlines_of(gateway: GatewayProcess, name: str) -> int:
    """How many calls of that service took too long."""
    metrics = (await AsyncHTTPClient().fetch(f"{gateway.base}/metrics")).body.decode()
    late = [line for line in metrics.splitlines() if f'service="{name}"' in line and '"DEADLINE_EXCEEDED"' in line]
    return sum(int(float(line.rsplit(" ", 1)[1])) for line in late)


CALLS: dict[str, tuple[str, dict[str, object]]] = {
    "intent": ("agent.intent", {"text": "hello"}),
    "planner": ("agent.plan", {"text": "hello"}),
    "safety": ("agent.safety.check", {"executor": "search", "action": "search"}),
    "memory": ("memory.search", {"query": "x"}),
    "tts": ("voice.voices", {}),
    "os": ("executor.os.commands", {}),
    "search": ("executor.search", {"query": "python"}),
}


async def until_up(remote: GatewayProcess, name: str) -> None:
    """Until calls go through again: the circuit has closed, the connection is back."""
    async with client(remote) as session:
        for _ in range(200):
            try:
                state = (await session.call("ops.health"))["services"][name]
                if name in CALLS:
                    op, params = CALLS[name]
                    await session.call(op, **params)
                    state = (await session.call("ops.health"))["services"][name]
            except GatewayError:
                state = {}
            if state.get("status") == "up" and state.get("circuit") == "closed":
                return
            if name == "stt" and state.get("status") == "up":  # an open circuit closes by a stream that goes well
                channel = session.open(messages.SttParams())
                say(channel, speech("flite-slt-what-time-is-it"))
                channel.end()
                await listen(channel)
            await asyncio.sleep(0.1)
    raise AssertionError(f"{name} did not come back: {state}")


def ask(session_turn: GatewayChannel, recording: str) -> None:
    say(session_turn, speech(recording))


# What is asked, so that the service is needed; whether the turn can still end well without it.
CASES = [
    ("intent", "flite-slt-what-time-is-it", False),
    ("planner", "flite-slt-what-time-is-it", False),
    ("safety", "flite-slt-list-files", False),
    ("os", "flite-slt-list-files", True),
    ("search", "flite-slt-search-python-tutorials", True),
    ("memory", "flite-slt-what-is-my-favourite-colour", True),
    ("tts", "flite-slt-what-time-is-it", True),
]


@pytest.mark.parametrize(("name", "recording", "tells_outcome"), CASES, ids=[case[0] for case in CASES])
async def test_a_service_that_dies_costs_an_apology_not_the_socket(
    remote: GatewayProcess, services: dict[str, ServiceProcess], name: str, recording: str, tells_outcome: bool
) -> None:
    async with client(remote) as session:
        turn = session.open(TurnParams())
        services[name].kill()
        ask(turn, recording)
        heard = await listen(turn, until=messages.TurnDone)
        (reply,) = heard.replies()
        errors = heard.of(messages.Error)
        failed = [result for result in heard.of(messages.TaskResult) if result.status != "ok"]
        assert errors or failed
        if not tells_outcome:
            assert reply.startswith("Sorry, ")
            assert errors[0].code in {"UNAVAILABLE", "CIRCUIT_OPEN", "DEADLINE_EXCEEDED"}
            assert heard.of(messages.TurnDone)[0].status == "failed"
        services[name].start()
        await until_up(remote, name)
        ask(turn, recording)
        turn.end()
        again = await listen(turn)
    assert again.of(messages.TurnDone)[0].status == "ok", again.of(messages.Error)
    assert again.of(messages.ChannelClosed)[0].status == "ok"


@contextmanager
def no_writes(service: ServiceProcess) -> Iterator[None]:
    """The disk takes nothing more from this service, as when its quota is used up."""
    pid, limit = service.process.pid, resource.RLIMIT_FSIZE
    before = resource.prlimit(pid, limit)
    resource.prlimit(pid, limit, (1, before[1]))
    try:
        yield
    finally:
        resource.prlimit(pid, limit, before)


async def test_a_disk_that_takes_no_writes_costs_only_what_is_new(
    remote: GatewayProcess, services: dict[str, ServiceProcess]
) -> None:
    async with client(remote) as session:
        await session.call("memory.store", key="shelf", value="44")
        await listen(session.open(TurnParams(text="remember that my shoe size is 44", reply="text")))
        with no_writes(services["memory"]):
            for _ in range(12):  # more refusals than a breaker bears
                with pytest.raises(GatewayError, match="the disk takes no writes, so nothing new can be") as refused:
                    await session.call("memory.store", key="shelf", value="45")
                assert refused.value.code == "RESOURCE_EXHAUSTED"
                assert (await session.call("memory.retrieve", key="shelf"))["value"] == "44"
            told = await listen(session.open(TurnParams(text="remember that my shoe size is 46", reply="text")))
            (reply,) = told.replies()
            assert "the disk takes no writes" in reply
            plain = await listen(session.open(TurnParams(text="what time is it", reply="text")))
            assert [error.code for error in plain.of(messages.Error)] == [
                "RESOURCE_EXHAUSTED"
            ] * 2  # for either speaker's words
            assert [done.status for done in plain.of(messages.TurnDone)] == ["ok"]
            (found,) = (await listen(session.open(TurnParams(text="what is my shoe size", reply="text")))).replies()
            assert "44" in found
        await session.call("memory.store", key="shelf", value="45")
        assert (await session.call("memory.retrieve", key="shelf"))["value"] == "45"


async def in_mid_word(session: GatewayClient) -> tuple[GatewayChannel, Heard]:
    """A turn in which somebody speaks, and what was heard of it so far."""
    turn = session.open(TurnParams())
    say(turn, speech("flite-slt-list-files", silence_ms=0)[:48_000])
    return turn, await listen(turn, until=messages.SttSpeechStarted)


async def test_a_recogniser_that_dies_in_mid_word_is_apologised_for_aloud(
    remote: GatewayProcess, services: dict[str, ServiceProcess]
) -> None:
    async with client(remote) as session:
        turn, heard = await in_mid_word(session)
        services["stt"].kill()
        await listen(turn, heard)
        assert await session.call("agent.intent", text="hello")
    assert "can't hear you" in heard.replies()[0]
    assert len(heard.audio) > 10_000
    closed = heard.of(messages.ChannelClosed)[0]
    assert (closed.status, closed.code) == ("error", "UNAVAILABLE")
    services["stt"].start()
    await until_up(remote, "stt")


async def test_a_voice_that_dies_in_mid_reply_leaves_the_written_words(
    remote: GatewayProcess, services: dict[str, ServiceProcess]
) -> None:
    async with client(remote) as session:
        turn = session.open(TurnParams(text="help"))
        heard = Heard()
        async for event in turn:
            if isinstance(event, messages.Message):
                heard.messages.append(event)
            if isinstance(event, messages.TtsStarted):
                services["tts"].kill()
    assert heard.replies()[0].startswith("You can ask me")
    assert heard.of(messages.TurnDone)
    assert heard.of(messages.ChannelClosed)
    services["tts"].start()
    await until_up(remote, "tts")


@pytest.mark.parametrize(("name", "recording", "tells_outcome"), CASES, ids=[case[0] for case in CASES])
async def test_a_service_that_hangs_costs_its_deadline_and_an_apology(
    tmp_path: Path, services: dict[str, ServiceProcess], name: str, recording: str, tells_outcome: bool
) -> None:
    with impatient(services, tmp_path, name) as gateway:
        await hangs_in_a_turn(gateway, services, name, recording, tells_outcome=tells_outcome)


async def hangs_in_a_turn(
    gateway: GatewayProcess, services: dict[str, ServiceProcess], name: str, recording: str, *, tells_outcome: bool
) -> None:
    await until_up(gateway, name)
    async with client(gateway) as session:
        turn = session.open(TurnParams())
        with services[name].hanging():
            before = await deadlines_of(gateway, name)
            ask(turn, recording)
            heard = await listen(turn, until=messages.TurnDone)
            assert await session.call("voice.voices" if name != "tts" else "agent.intents")
        (reply,) = heard.replies()
        errors = {error.code for error in heard.of(messages.Error)}
        outcomes = {result.status for result in heard.of(messages.TaskResult)}
        assert "DEADLINE_EXCEEDED" in errors or "timeout" in outcomes
        assert tells_outcome or (reply.startswith("Sorry, "), heard.of(messages.TurnDone)[0].status) == (True, "failed")
        late = await deadlines_of(gateway, name) - before
        assert 0 < late <= HUNG_CALLS
        await until_up(gateway, name)
        ask(turn, recording)
        turn.end()
        again = await listen(turn)
    assert again.of(messages.TurnDone)[0].status == "ok", again.of(messages.Error)


async def test_a_recogniser_that_hangs_is_apologised_for_aloud(
    remote: GatewayProcess, services: dict[str, ServiceProcess], tmp_path: Path
) -> None:
    await until_up(remote, "stt")
    with impatient(services, tmp_path, "stt") as gateway:
        async with client(gateway) as session:
            turn, heard = await in_mid_word(session)
            with services["stt"].hanging():
                turn.end()
                await listen(turn, heard)
                assert await session.call("agent.intent", text="hello")
    assert "can't hear you" in heard.replies()[0]
    assert len(heard.audio) > 10_000
    closed = heard.of(messages.ChannelClosed)[0]
    assert (closed.status, closed.code) == ("error", "DEADLINE_EXCEEDED")
