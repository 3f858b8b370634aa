"""The simple API for most programs, with and without async."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING

from server.version import __version__
from streaming.client import AsyncJarvisClient, JarvisClient, SttFinal, TurnReply, WavFile
from tests.server.embedded.speech import folded
from tests.support.gateway import AUDIO, speech

if TYPE_CHECKING:
    from pathlib import Path

    from streaming.client import TaskConfirmationRequired
    from tests.support.gateway import GatewayProcess


async def test_a_question_aloud_gets_an_answer_aloud(gateway: GatewayProcess, tmp_path: Path) -> None:
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        reply = await client.say_audio(speech("flite-slt-what-time-is-it"))
    assert folded(reply.heard) == "what time is it"
    assert reply.text.startswith("It is")
    reply.save(tmp_path / "answer.wav")
    with wave.open(str(tmp_path / "answer.wav")) as file:
        assert file.getframerate() == reply.sample_rate
        assert file.getnframes() > reply.sample_rate // 2


def test_without_async(gateway: GatewayProcess) -> None:
    with JarvisClient(gateway.base, token=gateway.token) as client:
        assert client.call("agent.intent", text="what time is it")["intent"] == "get_time"
        assert str(client.say("remember that my favourite tree is an elm"))
        assert "elm" in client.say("what is my favourite tree").text
        assert client.server_version == __version__


def test_a_file_in_real_time_through_a_blocking_turn(gateway: GatewayProcess) -> None:
    source = WavFile(AUDIO / "flite-slt-what-time-is-it.wav")
    with JarvisClient(gateway.base, token=gateway.token) as client, client.turn(source, reply="text") as turn:
        events = list(turn)
    assert [folded(event.text) for event in events if isinstance(event, SttFinal)] == ["what time is it"]
    assert [event.text[:5] for event in events if isinstance(event, TurnReply)] == ["It is"]


def test_a_turn_may_be_left_early(gateway: GatewayProcess) -> None:
    with JarvisClient(gateway.base, token=gateway.token) as client:
        with client.turn(text="what time is it") as turn:
            next(iter(turn))
        assert "It is" in client.say("what time is it").text


def test_risky_actions_are_asked_about_and_declined_by_default(gateway: GatewayProcess) -> None:
    asked: list[str] = []

    def approve(question: TaskConfirmationRequired) -> bool:
        asked.append(question.reason)
        return True

    with JarvisClient(gateway.base, token=gateway.token) as client:
        client.say("remember that my favourite tree is an elm")
        client.say("forget about my favourite tree")
        assert "elm" in client.say("what is my favourite tree").text
        client.say("forget about my favourite tree", approve=approve)
        assert "elm" not in client.say("what is my favourite tree").text
    assert len(asked) == 1
