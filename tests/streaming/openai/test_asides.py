"""Words besides a reply: questions before risky actions and what they end in, with and without a language model."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import Plan, ReplyWords, ServiceError, Step, Verdict
from tests.streaming.openai.test_functions import with_model
from tests.support.mind import mkdir
from tests.support.openai_client import Client, risky, scripted

if TYPE_CHECKING:
    from tests.support.mind import Mind
    from tests.support.world import World

BY_ITEM = [{"type": "mcp", "server_label": "jarvis"}]
QUESTION = "Shall I create the folder r1s1? Please click, or type yes."


def approve(client: Client, confirmation_id: str) -> None:
    item = {"type": "mcp_approval_response", "approval_request_id": confirmation_id, "approve": True}
    client.send("conversation.item.create", item=item)


def output(done: dict[str, Any]) -> list[str]:
    """The words of each item of a response; of other items, their type."""
    return [
        (part.get("transcript") or part.get("text") or "").strip()
        for item in done["response"]["output"]
        for part in item.get("content", [{"text": item["type"]}])
    ]


def requests(client: Client) -> list[str]:
    items = [item for done in client.of("response.done") for item in done["response"]["output"]]
    return [item["id"] for item in items if item["type"] == "mcp_approval_request"]


def of_assistant(world: World) -> list[str]:
    return [words.strip() for role, words in world.turns.values() if role == "assistant"]


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_a_model_that_speaks_before_a_risky_action(modality: str) -> None:
    async def test(client: Client, world: Mind) -> None:
        world.verdicts["mkdir"] = Verdict("confirm", "high", ("it makes",))
        client.update(tools=BY_ITEM, output_modalities=[modality])
        client.type("go")
        asked = output(await client.until("response.done"))
        words = "I shall create it."
        assert asked == (
            [words, "mcp_approval_request", QUESTION]
            if modality == "audio"
            else [f"{words} {QUESTION}", "mcp_approval_request"]
        )
        approve(client, *requests(client))
        assert output(await client.until("response.done")) == ["Done now."]
        await asyncio.sleep(3)
        client.type("again")
        assert output(await client.until("response.done")) == ["Fine."]
        await asyncio.sleep(3)
        assert of_assistant(world) == [f"{words} Done now.", "Fine."]  # the question was answered before it was heard
        assert [said for role, said in world.turns.values() if role == "user"] == ["go", "again"]

    rounds: list[list[Any]] = [
        [ReplyWords("I shall create it. "), mkdir("r1s1")],
        [ReplyWords("Done now.", last=True)],
        [ReplyWords("Fine.", last=True)],
    ]
    with_model(test, rounds)


def test_a_question_is_cut_by_the_clients_clock_and_so_is_each_part_of_a_reply() -> None:
    async def test(client: Client, world: Mind) -> None:
        world.verdicts["mkdir"] = Verdict("confirm", "high", ("it makes",))
        client.update(tools=BY_ITEM)
        client.type("go")
        asked = (await client.until("response.done"))["response"]["output"]
        approve(client, *requests(client))
        (last,) = (await client.until("response.done"))["response"]["output"]
        kept = []
        for item in (asked[0], asked[2], last):
            client.send("conversation.item.truncate", item_id=item["id"], content_index=0, audio_end_ms=350)
            await client.until("conversation.item.truncated")
            client.send("conversation.item.retrieve", item_id=item["id"])
            kept.append((await client.until("conversation.item.retrieved"))["item"]["content"][0]["transcript"])
        assert kept == ["I shall", "Shall I", "Done now."]

    rounds: list[list[Any]] = [[ReplyWords("I shall create it. "), mkdir("r1s1")], [ReplyWords("Done now.", last=True)]]
    with_model(test, rounds)


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_each_of_two_questions_is_put_as_an_item(modality: str) -> None:
    async def test(client: Client, world: World) -> None:
        risky(world)
        steps = (
            Step("1", "os", "rm", {"path": "x"}, (), "remove x"),
            Step("2", "os", "rm", {"path": "y"}, ("1",), "remove y"),
        )
        world.plans["wipe it"] = Plan("p", "wiped", steps, "wipe")
        client.update(tools=BY_ITEM, output_modalities=[modality])
        client.type("wipe it")
        for number in (1, 2):
            await client.until("response.done")
            assert len(requests(client)) == number
            approve(client, requests(client)[-1])
        assert output(await client.until("response.done"))[-1].endswith("wiped")
        assert [parameters["path"] for _, parameters in world.executed] == ["x", "y"]

    scripted(test)


@pytest.mark.parametrize("modality", ["audio", "text"])
def test_the_outcome_of_an_action_waits_for_the_end_of_another_response(modality: str) -> None:
    async def test(client: Client, world: World) -> None:
        risky(world)
        world.gates["rm"] = asyncio.Event()
        client.update(tools=BY_ITEM, output_modalities=[modality])
        client.type("wipe it")
        await client.until("response.done")
        approve(client, *requests(client))
        await client.soon()
        world.slow_s["intent"] = 1.0
        client.type("hello there")
        await client.until("response.created")
        world.gates["rm"].set()  # while that is being answered
        assert output(await client.until("response.done"))[-1].endswith("hello there")
        assert output(await client.until("response.done"))[-1].endswith("wiped")

    scripted(test)


def test_an_approval_that_cannot_be_looked_up_now_is_of_no_request_of_this_session() -> None:
    async def test(client: Client, world: World) -> None:
        world.failing["confirmations"] = ServiceError("UNAVAILABLE", "the store is away")
        approve(client, "mcpr_of_another_session")
        assert (await client.error())["code"] == "approval_request_not_found"
        client.type("hello", output_modalities=["text"])
        assert (await client.until("response.done"))["response"]["status"] == "completed"

    scripted(test)
