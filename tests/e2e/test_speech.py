"""The main scenario: real speech through the real gateway and real services, with a spoken answer."""

from __future__ import annotations

import asyncio
import json
import math
import signal
import struct
import subprocess
import sys
import wave
from typing import TYPE_CHECKING

import av
import pytest

from streaming.protocol import messages
from streaming.protocol.messages import ExecuteParams, SttParams, TtsParams, TurnParams
from tests.server.embedded.speech import folded
from tests.support.gateway import AUDIO, ROOT, client, environment, listen, say, speech

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.gateway import GatewayProcess


def loudness(pcm: bytes) -> float:
    samples = struct.unpack(f"<{len(pcm) // 2}h", pcm)
    return math.sqrt(sum(sample * sample for sample in samples) / max(1, len(samples)))


@pytest.mark.parametrize(
    ("recording", "words", "reply"),
    [
        ("flite-slt-what-time-is-it", "what time is it", "It is "),
        ("flite-slt-list-files", "list files in the current directory", "There "),
        ("flite-slt-search-python-tutorials", "search for python tutorials", "I found "),
    ],
)
async def test_a_spoken_question_is_answered_aloud(
    gateway: GatewayProcess, recording: str, words: str, reply: str
) -> None:
    async with client(gateway) as session:
        turn = session.open(TurnParams())
        say(turn, speech(recording))
        turn.end()
        heard = await listen(turn)
    assert heard.said() == [words]
    assert heard.replies()[0].startswith(reply)
    assert loudness(bytes(heard.audio)) > 300
    assert heard.of(messages.TurnDone)[0].status == "ok"
    assert [closed.status for closed in heard.of(messages.ChannelClosed)] == ["ok"]
    (eager,), (end,) = heard.of(messages.TurnEagerEnd), heard.of(messages.TurnEnd)
    assert folded(eager.text) == words
    assert eager.at_ms <= end.at_ms
    stages = heard.of(messages.TurnLatency)[0].stages
    assert next(iter(stages)) == "eager_end"
    assert list(stages)[-1] == "first_audio"
    assert list(stages.values()) == sorted(stages.values())


async def test_the_command_line_holds_a_spoken_turn_and_keeps_the_answer(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    recording, answer = AUDIO / "flite-slt-what-time-is-it.wav", tmp_path / "answer.wav"
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "server", "talk", str(recording), "--url", gateway.ws, "--output", str(answer)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "what time is it" in folded(done.stderr)
    assert "agent  It is " in done.stderr
    assert done.stderr.endswith("\n")
    with wave.open(str(answer)) as file:
        assert file.getnframes() > file.getframerate()  # over a second


async def test_talk_reads_any_audio_file_and_finds_the_gateway_by_its_port(
    gateway: GatewayProcess, tmp_path: Path
) -> None:
    question = tmp_path / "question.flac"
    with av.open(str(AUDIO / "flite-slt-what-time-is-it.wav")) as spoken, av.open(str(question), "w") as stereo:
        stream = stereo.add_stream("flac", rate=44_100, layout="stereo")
        assert isinstance(stream, av.AudioStream)
        for frame in [*spoken.decode(audio=0), None]:
            stereo.mux(stream.encode(frame))
    done = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "server", "talk", str(question)],
        env=environment(tmp_path, PORT=str(gateway.port)),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "what time is it" in folded(done.stderr)


@pytest.mark.parametrize(("answer", "status"), [("y", "ok"), ("no", "declined")])
async def test_talk_asks_at_the_keyboard_and_shows_what_for(
    gateway: GatewayProcess, tmp_path: Path, answer: str, status: str
) -> None:
    async with client(gateway) as session:
        await listen(
            session.open(TurnParams(text="remember that my name is ada", reply="text")), until=messages.TurnDone
        )
    command = [sys.executable, "-m", "server", "talk", "--url", gateway.base, "--json", "--text", "forget my name"]
    talk = await asyncio.create_subprocess_exec(
        *command,
        env=environment(tmp_path),
        cwd=tmp_path,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        limit=2**20,
    )
    assert talk.stdin is not None
    assert talk.stdout is not None
    results = []
    async for line in talk.stdout:
        event = json.loads(line)
        if event["type"] == "task.confirmation_required":
            assert (event["executor"], event["parameters"]) == ("memory", {"key": "user.name"}), event
            talk.stdin.write(b"perhaps\n" + answer.encode() + b"\n")
        if event["type"] == "task.result":
            results.append(event["status"])
    assert await talk.wait() in {0, 1}
    assert results[-1] == status


def test_talk_without_a_microphone_says_so_in_one_line(gateway: GatewayProcess, tmp_path: Path) -> None:
    (tmp_path / "sounddevice.py").write_text("raise OSError('PortAudio library not found')")
    path = {"PYTHONPATH": f"{tmp_path}:{ROOT}"}
    command = [sys.executable, "-m", "server", "talk", "--url", gateway.ws]
    done = subprocess.run(
        command, cwd=tmp_path, env=environment(tmp_path, **path), capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    says = "no microphone here (PortAudio library not found): name an audio file, or use --text"
    assert says in done.stderr.splitlines()
    assert "Traceback" not in done.stderr


def test_talk_ends_quietly_when_nobody_reads_on(gateway: GatewayProcess, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "server", "talk", "--url", gateway.ws, "--json", "--text", "what time is it"]
    with subprocess.Popen(
        command, cwd=tmp_path, env=environment(tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as talk:
        assert talk.stdout is not None
        assert talk.stderr is not None
        assert b'"channel.opened"' in talk.stdout.readline()
        talk.stdout.close()
        assert talk.stderr.read().strip() == b""
    assert talk.returncode == 128 + signal.SIGPIPE


async def test_what_was_said_is_remembered_in_the_next_turn_on_the_same_microphone(gateway: GatewayProcess) -> None:
    async with client(gateway) as session:
        turn = session.open(TurnParams(reply="text"))
        say(turn, speech("flite-slt-remember-favourite-colour"))
        heard = await listen(turn, until=messages.TurnDone)
        say(turn, speech("flite-slt-what-is-my-favourite-colour"))
        turn.end()
        await listen(turn, heard)
    remembered, recalled = heard.replies()
    assert "blue" in remembered
    assert "blue" in recalled
    assert len(heard.of(messages.TurnDone)) == 2


async def test_a_human_voice_is_understood(gateway: GatewayProcess) -> None:
    async with client(gateway) as session:
        microphone = session.open(SttParams())
        say(microphone, speech("human-goforward"))
        microphone.end()
        heard = await listen(microphone)
    (final,) = heard.of(messages.SttFinal)
    assert folded(final.text).startswith("go forward ten")
    assert [word.text for word in final.words] == final.text.split()
    assert final.start_ms < final.end_ms
    for partial in heard.of(messages.SttPartial):
        assert final.text.startswith(partial.text[: partial.stable_chars])


async def test_four_things_at_once_on_one_socket(gateway: GatewayProcess) -> None:
    async with client(gateway) as session:
        microphone = session.open(SttParams())
        voice = session.open(TtsParams(text="One two three four five six seven eight nine ten. " * 3))
        search = session.open(ExecuteParams(executor="search", action="search", parameters={"query": "python"}))
        command = session.open(ExecuteParams(executor="os", action="sleep", parameters={"args": ["1"]}))
        say(microphone, speech("flite-slt-what-time-is-it"))
        microphone.end()
        call = session.call("agent.intent", text="hello")
        heard, spoken, found, slept, intent = await asyncio.gather(
            listen(microphone), listen(voice), listen(search), listen(command), call
        )
    assert heard.said() == ["what time is it"]
    assert spoken.of(messages.TtsDone)[0].duration_ms > 5_000
    assert found.of(messages.TaskResult)[0].result["results"]
    assert slept.of(messages.TaskResult)[0].status == "ok"
    assert intent["intent"] == "greeting"


async def test_speech_silences_the_reply_and_memory_keeps_the_words_heard(gateway: GatewayProcess) -> None:
    async with client(gateway) as session:
        turn = session.open(TurnParams())
        say(turn, speech("flite-slt-search-python-tutorials"))
        heard = await listen(turn, until=messages.TtsWords, at_once=False)
        say(turn, speech("flite-slt-what-time-is-it"))
        turn.end()
        await listen(turn, heard, at_once=False)
        history = await session.call("memory.context", session_id=session.session_id)
    (paused,), (interrupted,) = heard.of(messages.TurnPaused), heard.of(messages.TurnInterrupted)
    assert paused.generation == interrupted.generation == 1
    assert (
        heard.messages.index(paused)
        < heard.messages.index(interrupted)
        < heard.messages.index(heard.of(messages.SttFinal)[1])
    )
    assert heard.replies()[0].startswith(interrupted.heard_text)
    assert [done.status for done in heard.of(messages.TurnDone)] == ["interrupted", "ok"]
    said = [turn["text"] for turn in history["turns"] if turn["role"] == "assistant"]
    assert (said[0] if len(said) == 2 else "") == interrupted.heard_text


async def test_a_cut_socket_is_resumed_and_the_reply_is_whole(gateway: GatewayProcess) -> None:
    text = "one two three four five six seven eight nine ten eleven twelve"
    async with client(gateway) as session:
        whole = await listen(session.open(TtsParams(text=text)))
        epoch = session.connection.epoch
        voice = session.open(TtsParams(text=text))
        heard = await listen(voice, until=messages.TtsWords)
        session.cut()
        await listen(voice, heard)
        assert session.connection.epoch == epoch
    # a synthesiser adds some randomness of its own: two utterances are alike in length, not in every sample
    assert len(heard.audio) == pytest.approx(len(whole.audio), abs=2_000)  # 45 ms of 4 s
    assert heard.pts_ms == list(range(0, 40 * len(heard.pts_ms), 40))


async def test_cancel_stops_a_command(gateway: GatewayProcess) -> None:
    async with client(gateway) as session:
        command = session.open(ExecuteParams(executor="os", action="sleep", parameters={"args": ["600"]}))
        await listen(command, until=messages.TaskStarted)
        command.cancel()
        heard = await listen(command)
    assert heard.of(messages.ChannelClosed)[0].status == "cancelled"


async def test_a_risky_command_waits_for_approval(gateway: GatewayProcess) -> None:
    async with client(gateway) as session:
        command = session.open(ExecuteParams(executor="os", action="mkdir", parameters={"args": ["made"]}))
        heard = await listen(command, until=messages.TaskConfirmationRequired)
        question = heard.messages[-1]
        await session.confirm(question.confirmation_id, approve=False)
        await listen(command, heard)
    assert heard.of(messages.ChannelClosed)[0].code == "NOT_APPROVED"
