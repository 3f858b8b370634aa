"""The simple API for most programs, with and without async."""

from __future__ import annotations

import wave
from typing import TYPE_CHECKING, Any

import pytest

from server.version import __version__
from streaming.client import (
    AsyncJarvisClient,
    GatewayError,
    JarvisClient,
    SttFinal,
    TaskConfirmationRequired,
    TaskResult,
    TurnReply,
    WavFile,
)
from tests.conftest import HANG_S
from tests.server.embedded.speech import folded
from tests.support.gateway import AUDIO, speech

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

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


def raises(_question: TaskConfirmationRequired) -> bool:
    raise ValueError("no such button")


def runs_out(_question: TaskConfirmationRequired) -> bool:
    return next(iter(()))


def forgets_to_return(_question: TaskConfirmationRequired) -> Any:
    """Returns None."""


@pytest.mark.parametrize(
    ("approve", "told"),
    [
        (raises, "approve failed: ValueError: no such button"),
        (runs_out, "approve failed: RuntimeError: coroutine raised StopIteration"),
        (forgets_to_return, "approve failed: TypeError: it returned None"),
    ],
)
def test_an_approval_that_fails_is_told_and_declines_and_the_session_goes_on(
    gateway: GatewayProcess, approve: Any, told: str
) -> None:
    with JarvisClient(gateway.base, token=gateway.token) as client:
        client.say("remember that my favourite tree is an elm")
        with pytest.raises(GatewayError) as raised:
            client.say("forget about my favourite tree", approve=approve, timeout_s=HANG_S)
        assert raised.value.code == "CALLBACK_FAILED"
        assert raised.value.message.startswith(told)
        assert raised.value.__cause__ is not None
        assert "elm" in client.say("what is my favourite tree").text


async def test_a_conversation_goes_on_behind_an_approval_that_failed(gateway: GatewayProcess) -> None:
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        await client.say("remember that my favourite tree is an elm")
        async with client.turn(text="forget about my favourite tree", approve=raises) as turn:
            with pytest.raises(GatewayError, match="CALLBACK_FAILED") as raised:
                async for _event in turn:
                    pass
            assert isinstance(raised.value.__cause__, ValueError)
            rest = [event async for event in turn]
        assert [event.status for event in rest if isinstance(event, TaskResult)] in ([], ["declined"])
        assert turn.channel.closed is not None
        assert turn.channel.closed.status == "ok"


class BrokenMicrophone:
    """Falls silent with an error."""

    sample_rate = 16_000

    async def frames(self) -> AsyncIterator[bytes]:
        yield bytes(640)
        raise ValueError("it was unplugged")


async def test_a_source_that_fails_ends_its_conversation_alone(gateway: GatewayProcess) -> None:
    async with AsyncJarvisClient(gateway.base, token=gateway.token) as client:
        async with client.turn(BrokenMicrophone(), reply="text") as turn:
            with pytest.raises(GatewayError, match="the source of speech failed: ValueError: it was unplugged"):
                async for _event in turn:
                    pass
        assert "It is" in (await client.say("what time is it")).text


class PlainMicrophone(BrokenMicrophone):
    """Its frames are a plain generator."""

    def frames(self) -> Any:
        yield bytes(640)


class PlainLoudspeaker:
    """A sink whose `play` is not async."""

    def begin(self, sample_rate: int) -> None: ...
    def stop(self) -> None: ...
    def close(self) -> None: ...
    def play(self, pcm: bytes) -> Any: ...


@pytest.mark.parametrize(
    ("source", "sink", "told"),
    [
        (PlainMicrophone(), None, "frames.. of the source gave <generator .* `async def frames.self.`, which yields"),
        ((bytes(640) for _ in "a"), None, "no source of speech: <generator .* `async def frames.self.`, which yields"),
        (None, PlainLoudspeaker(), "play.. of the sink is not async. Pass .* `async def play.self, pcm.`"),
        (None, "speaker", "no sink of speech: 'speaker'. Pass .* `async def play.self, pcm.`"),
    ],
)
def test_sound_of_the_wrong_form_is_told_with_what_to_pass(
    gateway: GatewayProcess, source: Any, sink: Any, told: str
) -> None:
    words: dict[str, Any] = {} if source else {"text": "what time is it"}
    with JarvisClient(gateway.base, token=gateway.token) as client:
        with pytest.raises(GatewayError, match=f"INVALID_ARGUMENT: {told}"), client.turn(source, sink, **words) as turn:
            list(turn)
        assert "It is" in client.say("what time is it").text
