"""Record and replay with a whole gateway: a spoken turn is recorded, and its replay has the same outcome."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpclient import HTTPRequest
from tornado.websocket import websocket_connect

from server.cli.replay import read_script
from server.cli.replay_player import Player
from server.cli.replay_script import Script
from server.embedded.planner.recipes import key_of
from streaming.client.gateway import GatewayClient
from streaming.protocol import messages
from streaming.protocol.messages import ExecuteParams, TurnParams
from streaming.sound.codecs import SpeechEncoder
from tests.support.gateway import GatewayProcess, environment, listen, running_gateway, say, speech

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


WRITTEN_S = 60.0


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, services: dict[str, str]) -> Iterator[GatewayProcess]:
    """A gateway that keeps recordings."""
    directory = tmp_path_factory.mktemp("studio")
    with running_gateway(directory, **services, RECORD_DIR=str(directory / "recordings")) as running:
        yield running


def recordings(gateway: GatewayProcess) -> Path:
    return gateway.log.parent / "recordings"


@pytest.fixture(scope="module")
def recorded(studio: GatewayProcess) -> Path:
    """A spoken turn, a question declined, a call: one file."""

    async def session() -> None:
        async with client(studio, "recorded", record=True) as gateway:
            turn = gateway.open(TurnParams())
            say(turn, speech("flite-slt-remember-favourite-colour"))
            turn.end()
            await listen(turn)
            command = gateway.open(ExecuteParams(executor="os", action="mkdir", parameters={"args": ["made"]}))
            heard = await listen(command, until=messages.TaskConfirmationRequired)
            await gateway.confirm(heard.messages[-1].confirmation_id, approve=False)
            await listen(command, heard)
            await gateway.call("memory.context", session_id="recorded")

    asyncio.run(session())
    return ended(studio, "recorded")


def client(gateway: GatewayProcess, session_id: str, *, record: bool) -> GatewayClient:
    return GatewayClient(gateway.ws, session_id=session_id, token=gateway.token, record=record)


def ended(gateway: GatewayProcess, session_id: str) -> Path:
    """That session's file, when it is whole."""
    deadline = time.monotonic() + WRITTEN_S
    while time.monotonic() < deadline:
        for path in recordings(gateway).glob(f"*-{session_id}-*.jsonl"):
            if "recording.ended" in path.read_text():
                return path
        time.sleep(0.1)
    raise AssertionError("there is no recording")


def replay(gateway: GatewayProcess, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "server", "replay", *arguments, "--url", gateway.ws],
        env=environment(gateway.log.parent),
        capture_output=True,
        text=True,
        check=False,
    )


def forget(gateway: GatewayProcess) -> None:
    """What the recorded turn remembers: it would be known already."""

    async def session() -> None:
        async with client(gateway, "forgets", record=False) as calls:
            await calls.call("memory.delete", key=key_of("favorite color"))

    asyncio.run(session())


def changed(recorded: Path, kind: str, to: Path, /, **fields: Any) -> Path:
    lines = [json.loads(line) for line in recorded.read_text().splitlines()]
    for line in lines:
        if line.get("message", {}).get("type") == kind:
            line["message"] |= fields
    to.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return to


def test_no_token_is_in_the_file(studio: GatewayProcess, recorded: Path) -> None:
    text = recorded.read_text()
    assert studio.token not in text
    ready = json.loads(text.splitlines()[1])["message"]
    assert ready["type"] == "session.ready"
    assert ready["recording"] is True
    assert ready["resume_token"] == "(hidden)"


@pytest.mark.parametrize("speed", ["fast", "realtime"])
def test_a_replay_comes_to_the_same(studio: GatewayProcess, recorded: Path, speed: str) -> None:
    forget(studio)
    done = replay(studio, str(recorded), "--speed", speed)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    lines = done.stdout.splitlines()
    assert all(line.startswith("equal ") for line in lines[:-1])
    assert "remember that my favo" in done.stdout.lower()
    for what in ("transcripts", "intents", "replies", "task results", "seconds of audio", "answer"):
        assert any(f" {what} " in line for line in lines), what
    assert lines[-1] == f"{len(lines) - 1} of {len(lines) - 1} equal"


def test_other_words_are_a_difference(studio: GatewayProcess, recorded: Path, tmp_path: Path) -> None:
    file = changed(recorded, "stt.final", tmp_path / "changed.jsonl", text="open the door")
    forget(studio)
    done = replay(studio, str(file))
    assert done.returncode == 1
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("differs")]
    assert " transcripts " in line
    assert "recorded 'open the door' (number 1), replayed 'remember that my favo" in line.lower()


def test_what_does_not_come_is_waited_for_in_vain_and_told(
    studio: GatewayProcess, recorded: Path, tmp_path: Path
) -> None:
    lines = recorded.read_text().splitlines(keepends=True)
    sound = [line for line in lines if '"direction":"out","frame"' in line]
    end = [line for line in lines if '"channel.end"' in line]
    file = tmp_path / "silent.jsonl"
    file.write_text("".join(line for line in lines if line not in {*sound, *end}))
    done = replay(studio, str(file), "--timeout", "4")
    assert done.returncode == 1
    assert "differs  channel 1 (turn)     transcripts" in done.stdout
    assert "waited in vain: task.result of channel 1 (turn)" in done.stdout
    assert "equal    channel 2 (execute)  task results     declined" in done.stdout


def test_many_at_once_are_a_load(studio: GatewayProcess, recorded: Path) -> None:
    done = replay(studio, str(recorded), "--times", "3", "--user", "crowd")
    assert done.returncode == 0, done.stdout + done.stderr
    sessions, latency = done.stdout.splitlines()
    assert sessions == "sessions 3, failed 0, different 0"
    assert latency.startswith("first audio after the end of speech: p50 ")
    assert latency.endswith(" (3 turns)")


def test_who_is_not_let_in_is_told(studio: GatewayProcess, recorded: Path) -> None:
    done = replay(studio, str(recorded), "--token", "wrong")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    many = replay(studio, str(recorded), "--token", "wrong", "--times", "2")
    assert many.returncode == 1
    assert many.stdout.startswith("sessions 2, failed 2, different 0\nfailed: ")


async def test_without_consent_nothing_is_kept(studio: GatewayProcess) -> None:
    async with client(studio, "private", record=False) as gateway:
        assert gateway.ready is not None
        assert gateway.ready.recording is None
        await gateway.call("agent.intent", text="hello")
    async with client(studio, "public", record=True) as gateway:
        await gateway.call("agent.intent", text="hello")
    assert await asyncio.to_thread(ended, studio, "public")  # written after what came before
    assert list(recordings(studio).glob("*-private-*")) == []


async def test_without_a_directory_nobody_is_recorded(gateway: GatewayProcess) -> None:
    async with client(gateway, "in-vain", record=True) as session:
        assert session.ready is not None
        assert session.ready.recording is None
        await session.call("agent.intent", text="hello")


async def test_a_cut_socket_does_not_end_a_recording(studio: GatewayProcess) -> None:
    async with client(studio, "cut", record=True) as gateway:
        await gateway.call("agent.intent", text="hello")
        gateway.cut()
        await gateway.call("agent.intent", text="what time is it")
    script = read_script(str(await asyncio.to_thread(ended, studio, "cut")))
    assert isinstance(script, Script)
    assert [cue.said.params["text"] for cue in script.cues] == ["hello", "what time is it"]
    played = await Player(script, studio.ws, fast=True, timeout_s=10, user_id="again").play()
    assert played.outcome.facts() == script.outcome.facts()


async def test_a_directory_in_the_way_costs_the_recording_only(tmp_path: Path, services: dict[str, str]) -> None:
    (tmp_path / "file").write_text("")
    with running_gateway(tmp_path, **services, RECORD_DIR=str(tmp_path / "file" / "recordings")) as running:
        async with client(running, "anyway", record=True) as gateway:
            assert gateway.ready is not None
            assert gateway.ready.recording is None
            assert (await gateway.call("agent.intent", text="hello"))["intent"] == "greeting"
        running.stop()
        assert "nothing can be recorded" in running.log.read_text()


async def test_a_gateway_that_stops_keeps_what_it_has(tmp_path: Path, services: dict[str, str]) -> None:
    with running_gateway(tmp_path, **services, RECORD_DIR=str(tmp_path / "recordings"), DRAIN_SECONDS="2") as running:
        async with client(running, "stopped", record=True) as gateway:
            await gateway.call("agent.intent", text="hello")
            assert await asyncio.to_thread(running.stop) == 0
    (file,) = (tmp_path / "recordings").iterdir()
    assert "recording.ended" in file.read_text().splitlines()[-1]
    script = read_script(str(file))
    assert isinstance(script, Script)
    assert [cue.place for cue in script.cues] == ["call 1 agent.intent"]


async def test_a_session_of_openai_s_dialect(studio: GatewayProcess) -> None:
    """Typed and spoken turns, an item asked for by its id, a cancelled reply, a mistake."""
    file = await asyncio.to_thread(ended, studio, await openai_session(studio))
    done = await asyncio.to_thread(replay, studio, str(file), "--token", studio.token)
    assert (done.returncode, done.stderr) == (0, ""), done.stdout
    for words in ("replies ", "transcripts ", "errors           item_retrieve_invalid_item_id", "client_cancelled"):
        assert words in done.stdout


async def openai_session(gateway: GatewayProcess) -> str:
    """Returns the session's id."""
    socket = await websocket_connect(
        HTTPRequest(f"{gateway.ws}/v1/realtime?record=true", headers={"Authorization": f"Bearer {gateway.token}"})
    )

    async def until(kind: str) -> dict[str, Any]:
        while True:
            data = await socket.read_message()
            assert data is not None, kind
            event: dict[str, Any] = json.loads(data)
            if event["type"] == kind:
                return event

    async def send(kind: str, **fields: Any) -> None:
        await socket.write_message(json.dumps({"type": kind, **fields}))

    session_id = str((await until("session.created"))["session"]["id"])
    part = {"type": "input_text", "text": "what can you do"}
    await send("conversation.item.create", item={"type": "message", "role": "user", "content": [part]})
    item = (await until("conversation.item.done"))["item"]
    await send("response.create")
    await until("response.output_audio.delta")
    await send("response.cancel")
    await until("response.done")
    await send("conversation.item.retrieve", item_id=item["id"])
    await until("conversation.item.retrieved")
    await send("conversation.item.retrieve", item_id="nobody")
    await until("error")
    await send("session.update", session={"type": "realtime", "audio": {"input": {"format": {"type": "audio/pcmu"}}}})
    law = mulaw(speech("flite-slt-list-files"))
    for start in range(0, len(law), 800):
        await send("input_audio_buffer.append", audio=b64encode(law[start : start + 800]).decode())
    await until("response.done")
    socket.close(1000)
    return session_id


def mulaw(pcm: bytes) -> bytes:
    """16 kHz PCM as the API's µ-law of 8 kHz."""
    encoder = SpeechEncoder("mulaw", 8_000, 16_000)
    return b"".join(encoder.encode(pcm)) + b"".join(encoder.flush())
