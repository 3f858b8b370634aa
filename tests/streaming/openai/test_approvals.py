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

    scripted(test)


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
