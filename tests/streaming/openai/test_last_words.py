"""Before a session's socket is closed, every response that began and every awaited transcript is told its end."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streaming.residents import Departure
from tests.support.openai_client import FRAME, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World

KINDS = ("response.created", "response.done", "conversation.item.input_audio_transcription.failed", "error")


@pytest.mark.parametrize("reason", [Departure.RESTART, Departure.SIGNED_OUT])
def test_a_response_that_waits_for_a_transcript_ends_and_so_does_the_transcript(reason: Departure) -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(audio={"input": {"turn_detection": None, "transcription": {"model": "whisper-1"}}})
        for _ in range(10):
            client.send("input_audio_buffer.append", audio=FRAME)
        client.send("input_audio_buffer.commit")
        client.send("response.create")
        item_id = (await client.until("input_audio_buffer.committed"))["item_id"]
        heard = [{"type": "item_reference", "id": item_id}]
        client.send("response.create", response={"conversation": "none", "input": heard})
        await asyncio.sleep(1)
        assert client.live is not None
        client.live.leave(reason)
        await asyncio.sleep(5)
        word = client.events[-1]["error"]["code"]
        told = [event["type"] for event in client.events if event["type"] in KINDS]
        assert told == [KINDS[0], KINDS[0], KINDS[2], KINDS[1], KINDS[1], KINDS[3]]
        (failed,) = client.of(KINDS[2])
        assert failed["item_id"] == item_id
        assert failed["error"]["code"] == word
        for created, done in zip(client.of(KINDS[0]), client.of(KINDS[1]), strict=True):
            assert created["response"]["id"] == done["response"]["id"]
            assert done["response"]["status"] == "failed"
            assert done["response"]["status_details"]["error"]["code"] == word

    scripted(test)


@pytest.mark.parametrize("steps", range(30))
def test_at_every_step_of_a_reply(steps: int) -> None:
    async def test(client: Client, _world: World) -> None:
        client.type("hello", output_modalities=["audio"])
        for _ in range(steps):
            await asyncio.sleep(0)
        assert client.live is not None
        client.live.leave(Departure.RESTART)
        await asyncio.sleep(5)
        begun = [event["response"]["id"] for event in client.of("response.created")]
        assert [event["response"]["id"] for event in client.of("response.done")] == begun
        items = [event["item"]["id"] for event in client.of("response.output_item.added")]
        assert [event["item"]["id"] for event in client.of("response.output_item.done")] == items
        assert client.events[-1]["error"]["code"] == "session_restart"

    scripted(test)
