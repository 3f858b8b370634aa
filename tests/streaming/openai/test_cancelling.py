"""`response.cancel` at every moment: one response, cancelled, and nothing of its turn comes later."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import ReplyWords
from tests.streaming.openai.test_functions import with_model
from tests.support.mind import mkdir
from tests.support.openai_client import Client, risky, scripted

if TYPE_CHECKING:
    from tests.support.mind import Mind
    from tests.support.world import World

STEPS = 30  # of the event loop, until a scripted reply is being sent


async def cancelled(client: Client) -> dict[str, Any]:
    """Cancel the response, and see that it was the last."""
    client.send("response.cancel")
    await asyncio.sleep(5)
    done: dict[str, Any] = client.of("response.done")[-1]["response"]
    assert done["status_details"] == {"type": "cancelled", "reason": "client_cancelled"}
    assert client.of("response.created")[-1]["response"]["id"] == done["id"]
    return done


@pytest.mark.parametrize("modality", ["audio", "text"])
@pytest.mark.parametrize("steps", range(STEPS))
def test_at_every_step_of_a_reply(modality: str, steps: int) -> None:
    async def test(client: Client, _world: World) -> None:
        client.type("hello", output_modalities=[modality])
        for _ in range(steps):
            await asyncio.sleep(0)
        assert client.live is not None
        if client.live.replies.busy:
            await cancelled(client)

    scripted(test)


@pytest.mark.parametrize("seconds", [0.0, 0.2, 0.4])
def test_while_words_are_compared_with_an_open_question(seconds: float) -> None:
    async def test(client: Client, world: World) -> None:
        risky(world)
        client.type("wipe it", output_modalities=["text"])
        await client.until("response.done")
        world.slow_s["intent"] = 0.3
        client.type("yes", output_modalities=["text"])
        await client.soon()
        await asyncio.sleep(seconds)
        if client.live is not None and client.live.replies.busy:
            await cancelled(client)
            assert world.executed == []

    scripted(test)


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_while_a_language_model_writes(modality: str) -> None:
    """Memory keeps what was told."""

    async def test(client: Client, world: Mind) -> None:
        client.type("go", output_modalities=[modality])
        await client.until("response.output_text.delta", "response.output_audio.delta")
        await asyncio.sleep(0.3)
        await cancelled(client)
        gate.set()
        await asyncio.sleep(1)
        assert client.events[-1]["type"] == "response.done"
        told = [words.strip() for role, words in world.turns.values() if role == "assistant"]
        assert told == ["One two three." if modality == "text" else "One two"]

    gate = asyncio.Event()
    with_model(test, [[ReplyWords("One two three. "), gate, ReplyWords("Four.", last=True)]])


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_between_two_rounds_of_a_language_model(modality: str) -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("go", output_modalities=[modality])
        await asyncio.sleep(3)
        assert world.executed == [("mkdir", {"args": ["r1s1"]})]
        if client.live is not None and client.live.replies.busy:
            await cancelled(client)
        gate.set()
        await asyncio.sleep(5)
        assert "Four" not in str(client.events)
        assert [words.strip() for role, words in world.turns.values() if role == "assistant"] == ["One."]

    gate = asyncio.Event()
    with_model(test, [[ReplyWords("One. "), mkdir("r1s1")], [gate, ReplyWords("Four.", last=True)]])
