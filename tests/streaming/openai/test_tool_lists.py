"""`mcp` tools of a session, and a voice that stays once it was heard."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from streaming.openai.settings import Voices, merged, new_session
from streaming.openai.tool_lists import MAX_LISTED
from tests.support.openai_client import Client, scripted
from tests.support.world import broken

if TYPE_CHECKING:
    from tests.support.world import World

OWN = {"type": "mcp", "server_label": "jarvis"}
KINDS = ("conversation.item.added", "conversation.item.done")


def told(client: Client) -> list[str]:
    return [event["type"] for event in client.events if event["type"].startswith("mcp_") or event["type"] in KINDS]


def test_the_agents_actions_are_listed_once() -> None:
    async def test(client: Client, world: World) -> None:
        world.may = {"os", "search"}
        client.update(tools=[OWN])
        item = (await client.until("conversation.item.done"))["item"]
        assert [tool["name"] for tool in item["tools"]] == ["os.rm", "search.rm"]
        assert item["tools"][0]["input_schema"]["properties"] == {"path": {"type": "string"}}
        assert told(client) == [KINDS[0], "mcp_list_tools.in_progress", "mcp_list_tools.completed", KINDS[1]]
        client.update(tools=[OWN])
        await client.soon()
        assert len(client.of("mcp_list_tools.in_progress")) == 1
        client.type("hello")
        await client.until("response.done")
        assert client.of("conversation.item.added")[1]["previous_item_id"] == item["id"]

    scripted(test)


@pytest.mark.parametrize("allowed", [["os.rm"], {"tool_names": ["os.rm"]}])
def test_only_allowed_tools_are_listed(allowed: Any) -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(tools=[{**OWN, "allowed_tools": allowed}])
        item = (await client.until("conversation.item.done"))["item"]
        assert [tool["name"] for tool in item["tools"]] == ["os.rm"]

    scripted(test)


@pytest.mark.parametrize("label", ["jarvis", "weather"])
def test_a_list_that_cannot_be_had_fails_and_the_session_lives(label: str) -> None:
    async def test(client: Client, world: World) -> None:
        world.failing["actions"] = broken("os")
        client.update(tools=[{"type": "mcp", "server_label": label, "server_url": "https://example.com/mcp"}])
        await client.until("mcp_list_tools.failed")
        assert told(client) == [KINDS[0], "mcp_list_tools.in_progress", "mcp_list_tools.failed"]
        client.type("hello")
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)


def test_a_voice_that_was_heard_stays() -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(audio={"output": {"voice": "ash"}})
        client.type("hello")
        await client.until("response.done")
        client.update(audio={"output": {"voice": {"id": "ash"}}}, instructions="be brief")
        assert client.of("error") == []
        client.update(audio={"output": {"voice": "hibari"}})
        assert (await client.error())["code"] == "cannot_update_voice"
        client.send("response.create", response={"audio": {"output": {"voice": "hibari"}}})
        assert (await client.error())["code"] == "cannot_update_voice"
        client.type("hello", audio={"output": {"voice": "ash"}})
        assert (await client.until("response.done"))["response"]["audio"]["output"]["voice"] == "ash"
        client.send("response.create", response={"conversation": "none", "audio": {"output": {"voice": "hibari"}}})
        assert (await client.until("response.done"))["response"]["audio"]["output"]["voice"] == "hibari"

    scripted(test)


def test_a_voice_may_change_while_only_text_was_sent() -> None:
    async def test(client: Client, _world: World) -> None:
        client.type("hello", output_modalities=["text"])
        await client.until("response.done")
        client.update(audio={"output": {"voice": "hibari"}})
        told = (await client.until("session.updated"))["session"]
        assert told["audio"]["output"]["voice"] == "hibari"

    scripted(test)


def test_only_so_many_servers_are_listed() -> None:
    async def test(client: Client, _world: World) -> None:
        for first in range(0, 300, 100):
            client.update(tools=[{"type": "mcp", "server_label": str(label)} for label in range(first, first + 100)])
            await client.soon()
        assert len(client.of("mcp_list_tools.failed")) == MAX_LISTED
        assert client.of("error") == []

    scripted(test)


def test_long_tools_of_an_update_are_not_copied() -> None:
    """Copying 128 of them with their schemas, twice, took 6 ms of the loop."""
    tools = [{"type": "function", "name": f"tool_{number}", "parameters": {"type": "object"}} for number in range(128)]
    before = new_session("sess_1", "", None, transcription=False)
    update = {"type": "realtime", "tools": tools, "audio": {"output": {"speed": 1.5}}}
    after = merged(before, update, Voices())
    assert after["tools"] is tools
    assert before == new_session("sess_1", "", None, transcription=False)
    assert update["audio"] == {"output": {"speed": 1.5}}
