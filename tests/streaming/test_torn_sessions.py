"""Sessions of every dialect, torn at any point, leave nothing to the cyclic garbage collector: it hardly ever runs."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import FinalTranscript, SpeechStarted, SpeechStopped
from tests.streaming.openai import test_duplex
from tests.streaming.twilio import test_call
from tests.support import openai_client
from tests.support.garbage import garbage_of
from tests.support.house import House, housed
from tests.support.openai_client import FRAME, LONG, Client

if TYPE_CHECKING:
    from tests.support.world import World


async def _idle(client: Client) -> None:
    await client.soon()


async def _mistaken(client: Client) -> None:
    client.send("nonsense")
    await client.error()


async def _typed(client: Client) -> None:
    client.type("hello")
    await client.until("response.done")


async def _talking(client: Client) -> None:
    client.type(LONG)
    await client.until("response.output_audio.delta")


async def _spoken(client: Client) -> None:
    client.send("input_audio_buffer.append", audio=FRAME)
    await client.soon()
    client.speak("hello")
    await client.until("response.done")


@pytest.mark.parametrize("use", [_idle, _mistaken, _typed, _talking, _spoken])
def test_realtime(use: Any) -> None:
    async def test(client: Client, _world: World) -> None:
        await use(client)

    assert garbage_of(lambda: openai_client.scripted(test)) == set()


@pytest.mark.parametrize("talking", [False, True])
def test_live(talking: bool) -> None:
    async def test(client: test_duplex.LiveClient, _world: World) -> None:
        if talking:
            client.append("commentary", LONG)
            await client.until("session.output_audio.delta")

    assert garbage_of(lambda: test_duplex.scripted(test)) == set()


def test_telephone() -> None:
    async def test(telephone: test_call.Telephone, _world: World) -> None:
        telephone.say(LONG)
        await telephone.until(lambda: telephone.played_ms > 400)

    assert garbage_of(lambda: test_call.scripted(test)) == set()


TORN = {
    "tts": ({"text": LONG}, "tts.started"),
    "turn": ({"text": LONG, "reply": "audio"}, "tts.started"),
}


@pytest.mark.parametrize("ended", [False, True])
@pytest.mark.parametrize("kind", TORN)
def test_channel(kind: str, ended: bool) -> None:
    params, begun = TORN[kind]

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind=kind, params=params | ({"text": "hi"} if ended else {}))
        await (socket.until("channel.closed", channel=1) if ended else socket.until(begun))

    assert garbage_of(lambda: housed(test)) == set()


def test_channels_that_are_cancelled_before_they_have_run() -> None:
    """Both messages come in one read: what a lane has opened by then is ended, though it never runs."""

    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        kinds = {1: ("tts", {"text": LONG}), 3: ("stt", {}), 5: ("turn", {"reply": "audio"}), 7: ("tts", {})}
        for channel, (kind, params) in kinds.items():
            opening = {"type": "channel.open", "channel": channel, "kind": kind, "params": params}
            assert socket.line is not None
            socket.line.feed([json.dumps(opening), json.dumps({"type": "channel.cancel", "channel": channel})])
            await socket.until("channel.closed", channel=channel)
        assert [each.cancelled for each in world.syntheses] == [True, True]
        assert [each.cancelled for each in world.recognitions] == [True, True]

    assert garbage_of(lambda: housed(test)) == set()


def test_open_microphone() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="turn", params={"reply": "audio"})
        await asyncio.sleep(0.1)
        world.recognitions[-1].push(SpeechStarted(100), SpeechStopped(500), FinalTranscript(LONG, 0.9, 100, 500))
        await socket.until("tts.started")

    assert garbage_of(lambda: housed(test)) == set()
