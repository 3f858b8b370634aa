"""Risky actions in OpenAI's dialect: who speaks may approve what was said to the end, and nothing that destroys."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

import pytest

from tests.support.openai_client import FRAME, Client, risky, scripted

if TYPE_CHECKING:
    from tests.support.world import World

SAID_S = 5.0  # after this, a question was played to its end


@pytest.mark.parametrize("waits", [True, False])
def test_a_risky_action_is_asked_and_approved_aloud(waits: bool) -> None:
    """A yes before the question was played to its end is for something else."""

    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("wipe it")
        asked = (await client.until("response.done"))["response"]
        assert asked["status"] == "completed"
        assert asked["output"][0]["content"][0]["transcript"].strip()
        assert world.executed == []
        await asyncio.sleep(SAID_S if waits else 0.1)
        client.speak("yes")
        await client.until("response.done")
        if not waits:
            await asyncio.sleep(SAID_S)
            assert world.executed == []
            return
        reply = (await client.until("response.done"))["response"]
        assert world.executed
        assert reply["output"][0]["content"][0]["transcript"] == "one two three four five wiped"

    scripted(test)


@pytest.mark.parametrize("by_voice", [True, False])
def test_what_destroys_is_approved_by_a_typed_yes_only(by_voice: bool) -> None:
    async def test(client: Client, world: World) -> None:
        risky(world, "high")
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("wipe it")
        await client.until("response.done")
        await asyncio.sleep(SAID_S)
        if by_voice:
            client.speak("yes")
        else:
            client.type("yes")
        reply = (await client.until("response.done"))["response"]["output"][0]["content"][0]["transcript"]
        await asyncio.sleep(SAID_S)
        assert bool(world.executed) is not by_voice
        assert reply == ("I need a click, or a typed yes, for that." if by_voice else "All right.")
        if by_voice:  # a response without new words is given to the same ones, which nobody has typed
            client.send("response.create")
            await asyncio.sleep(SAID_S)
            assert world.executed == []

    scripted(test)


@pytest.mark.parametrize("at_ms", [200, 300])
@pytest.mark.parametrize("at_once", [True, False])
def test_a_question_that_the_client_has_truncated_was_not_asked(at_ms: int, at_once: bool) -> None:
    """Whatever our clock of the playback says, then or later."""

    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("wipe it")
        item_id = (await client.until("response.output_audio.delta"))["item_id"]
        await asyncio.sleep(0.3 if at_once else SAID_S)
        client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=at_ms)
        await client.until("conversation.item.truncated")
        await asyncio.sleep(SAID_S)
        assert await said_to_yes(client) == "A question is still open. Shall I remove x?"
        assert world.executed == []
        await asyncio.sleep(SAID_S)
        await said_to_yes(client)
        assert world.executed

    scripted(test)


def test_a_question_truncated_behind_its_last_word_was_asked() -> None:
    """Clients truncate whatever speech interrupts, also if it was played to its end."""

    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("wipe it")
        item_id = (await client.until("response.output_audio.delta"))["item_id"]
        await asyncio.sleep(SAID_S)
        client.send("conversation.item.truncate", item_id=item_id, content_index=0, audio_end_ms=800)
        await client.until("conversation.item.truncated")
        await said_to_yes(client)
        assert world.executed

    scripted(test)


@pytest.mark.parametrize("by_voice", [True, False])
def test_a_yes_after_another_reply_is_asked_back(by_voice: bool) -> None:
    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("wipe it")
        await client.until("response.done")
        await asyncio.sleep(SAID_S)
        client.type("what time is it")
        await client.until("response.done")
        await asyncio.sleep(SAID_S)
        for approves in (False, True):
            told = await said_to_yes(client, by_voice=by_voice)
            assert approves or told == "A question is still open. Shall I remove x?"
            await asyncio.sleep(SAID_S)
            assert bool(world.executed) is approves

    scripted(test)


async def said_to_yes(client: Client, *, by_voice: bool = True) -> str:
    """The reply to a yes."""
    if by_voice:
        client.speak("yes")
    else:
        client.type("yes")
    output = (await client.until("response.done"))["response"]["output"]
    return str(output[0]["content"][0]["transcript"]) if output else ""


def test_a_risky_action_is_approved_by_item() -> None:
    async def test(client: Client, world: World) -> None:
        risky(world)
        client.update(tools=[{"type": "mcp", "server_label": "jarvis"}], output_modalities=["text"])
        client.type("wipe it")
        asked = (await client.until("response.done"))["response"]["output"][0]
        assert (asked["type"], json.loads(asked["arguments"])) == ("mcp_approval_request", {"path": "x"})
        answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": True}
        client.send("conversation.item.create", item=answer)
        reply = (await client.until("response.done"))["response"]
        assert reply["output"][0]["content"][0]["text"] == "one two three four five wiped"

    scripted(test)
