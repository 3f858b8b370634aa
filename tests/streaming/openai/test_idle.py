"""`idle_timeout_ms`: silence after a reply is answered, and nothing else."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import SpeechStarted
from tests.streaming.lanes.test_lanes import Exhausted
from tests.support.openai_client import FRAME, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World

TIMEOUT_MS = 6_000
QUESTION = "Are you still there?"
TRIGGERED = "input_audio_buffer.timeout_triggered"


def wait_for_silence(client: Client, **session: Any) -> None:
    client.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": TIMEOUT_MS}}}, **session)


def words(event: dict[str, Any]) -> str:
    part = event["response"]["output"][0]["content"][0]
    return str(part.get("transcript") or part.get("text"))


def test_silence_behind_a_reply_is_answered_again_and_again() -> None:
    async def test(client: Client, _world: World) -> None:
        wait_for_silence(client)
        client.type("hello")
        await client.until("response.done")
        client.send("input_audio_buffer.append", audio=FRAME)
        for _ in range(2):
            triggered = await client.until(TRIGGERED)
            assert (await client.until("input_audio_buffer.committed"))["item_id"] == triggered["item_id"]
            assert (await client.until("conversation.item.done"))["item"]["content"] == [
                {"type": "input_audio", "transcript": ""}
            ]
            done = await client.until("response.done")
            assert (done["response"]["status"], words(done)) == ("completed", QUESTION)
        assert len(client.of("response.output_audio.delta")) > 2
        assert client.of(TRIGGERED)[0]["audio_end_ms"] in {0, 100}

    scripted(test)


def test_what_the_gateway_says_by_itself_counts_against_no_limit() -> None:
    async def test(client: Client, _world: World) -> None:
        wait_for_silence(client)
        client.type("hello")
        await client.until("response.done")
        assert client.live is not None
        exhausted: Any = Exhausted()
        client.live.lanes._provided = replace(client.live.lanes._provided, quota=exhausted)
        done = await client.until("response.done")
        assert (done["response"]["status"], words(done)) == ("completed", QUESTION)
        assert exhausted.asked == []

    scripted(test)


def test_it_counts_from_the_end_of_the_sound() -> None:
    async def test(client: Client, _world: World) -> None:
        loop = asyncio.get_running_loop()
        wait_for_silence(client)
        client.type("so " * 30)
        await client.until("response.output_audio.delta")
        begun = loop.time()
        await client.until(TRIGGERED)
        assert loop.time() - begun > TIMEOUT_MS / 1000 + 3

    scripted(test)


def test_in_words() -> None:
    async def test(client: Client, _world: World) -> None:
        wait_for_silence(client, output_modalities=["text"])
        client.type("hello")
        await client.until("response.done")
        assert words(await client.until("response.done")) == QUESTION

    scripted(test)


def test_somebody_who_speaks_is_not_asked() -> None:
    async def test(client: Client, _world: World) -> None:
        wait_for_silence(client)
        client.send("input_audio_buffer.append", audio=FRAME)
        client.type("hello")
        await client.until("response.done")
        await asyncio.sleep(3)
        client.hear(SpeechStarted(100))
        await asyncio.sleep(20)
        assert not client.of(TRIGGERED)

    scripted(test)


def test_the_question_is_interrupted_like_any_reply() -> None:
    async def test(client: Client, _world: World) -> None:
        wait_for_silence(client)
        client.send("input_audio_buffer.append", audio=FRAME)
        client.type("hello")
        await client.until(TRIGGERED)
        await client.until("response.output_audio.delta")
        client.speak("what time is it")
        statuses = [(await client.until("response.done"))["response"]["status"] for _ in range(2)]
        assert statuses[-1] == "completed"
        assert words(client.of("response.done")[-1]) != QUESTION

    scripted(test)


@pytest.mark.parametrize("wrong", [0, 4_999, 30_001, "5000", True, 5000.0])
def test_a_wrong_time_is_refused(wrong: object) -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(audio={"input": {"turn_detection": {"type": "server_vad", "idle_timeout_ms": wrong}}})
        assert (await client.error())["param"] == "session.audio.input.turn_detection.idle_timeout_ms"

    scripted(test)
