"""Functions that the session's client runs, with a scripted language model behind the planner."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

from streaming.ports import CLIENT, Plan, ReplyWords, Step
from tests.support import virtual_time
from tests.support.mind import Mind, mkdir
from tests.support.openai_client import Client, session
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

WEATHER = {"type": "function", "name": "weather", "description": "of a place", "parameters": {"type": "object"}}
CLOCK = {"type": "function", "name": "clock"}


def with_model(test: Callable[[Client, Mind], Awaitable[None]], rounds: list[list[Any]]) -> None:
    async def run() -> None:
        world = Mind(rounds=rounds, may={"os"})
        async with session(world) as client:
            client.update(tools=[WEATHER, CLOCK], instructions="be kind")
            await client.until("session.updated")
            await test(client, world)

    virtual_time.run(run())


def call(name: str = "weather", step_id: str = "r1s1", **arguments: Any) -> Step:
    return Step(step_id, CLIENT, name, arguments, (), "")


def answer(client: Client, call_id: str, output: str) -> None:
    client.send("conversation.item.create", item={"type": "function_call_output", "call_id": call_id, "output": output})


def text_of(response: dict[str, Any]) -> str:
    return str(response["output"][-1]["content"][0].get("transcript") or response["output"][-1]["content"][0]["text"])


def test_a_function_is_called_and_the_turn_goes_on_with_what_it_returned() -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("what is the weather in Oslo?", output_modalities=["text"])
        first = (await client.until("response.done"))["response"]
        (item,) = first["output"]
        assert (first["status"], item["type"], item["name"]) == ("completed", "function_call", "weather")
        assert (item["status"], json.loads(item["arguments"])) == ("completed", {"city": "Oslo"})
        kinds = [event["type"] for event in client.events]
        at = kinds.index("response.output_item.added")
        assert kinds[at:] == [
            "response.output_item.added",
            "conversation.item.added",
            "response.function_call_arguments.delta",
            "response.function_call_arguments.done",
            "response.output_item.done",
            "conversation.item.done",
            "response.done",
        ]
        assert world.told[0].instructions == "be kind"
        assert {tool.action for tool in world.told[0].tools} == {"mkdir", "weather", "clock"}
        answer(client, item["call_id"], "rain")
        client.send("response.create", response={"output_modalities": ["text"]})
        assert text_of((await client.until("response.done"))["response"]) == "It rains."
        assert world.told[1].text == "what is the weather in Oslo?"
        (outcome,) = world.told[1].rounds[-1].outcomes
        assert (outcome.status, outcome.message) == ("ok", "rain")
        await asyncio.sleep(0.1)
        assert sorted(world.turns.values()) == [("assistant", "It rains."), ("user", "what is the weather in Oslo?")]

    with_model(test, [[call(city="Oslo")], [ReplyWords("It rains.", last=True)]])


def test_words_before_a_call_are_spoken_and_the_call_does_not_wait_until_they_were_heard() -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("weather")
        begun = asyncio.get_running_loop().time()
        first = (await client.until("response.done"))["response"]
        assert [item["type"] for item in first["output"]] == ["message", "function_call"]
        assert asyncio.get_running_loop().time() - begun < 0.5  # the words take a second
        answer(client, first["output"][1]["call_id"], "sun")
        client.send("response.create")
        assert text_of((await client.until("response.done"))["response"]) == "It is sunny."
        assert [turn.text for turn in world.told[1].turns] == ["weather"]
        assert world.told[1].rounds[0].words == "Let me look at it now. "

    with_model(test, [[ReplyWords("Let me look at it now. "), call()], [ReplyWords("It is sunny.", last=True)]])


def test_several_calls_and_one_that_is_not_answered() -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("both", output_modalities=["text"])
        first = (await client.until("response.done"))["response"]
        weather, clock = first["output"]
        assert (weather["name"], clock["name"]) == ("weather", "clock")
        assert [event["output_index"] for event in client.of("response.output_item.done")] == [0, 1]
        answer(client, clock["call_id"], "noon")
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done")
        outcomes = {outcome.step_id: outcome.status for outcome in world.told[1].rounds[0].outcomes}
        assert outcomes == {"r1s1": "cancelled", "r1s2": "ok"}
        answer(client, clock["call_id"], "again")
        assert (await client.error())["code"] == "invalid_tool_call_id"

    with_model(test, [[call(), call("clock", "r1s2")], [ReplyWords("Noon.", last=True)]])


def test_an_action_of_the_agents_own_beside_a_call() -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("do it", output_modalities=["text"])
        first = (await client.until("response.done"))["response"]
        assert [item["type"] for item in first["output"]] == ["function_call"]
        assert world.executed == [("mkdir", {"args": ["r1s2"]})]
        answer(client, first["output"][0]["call_id"], "rain")
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done")
        outcomes = {outcome.step_id: outcome.status for outcome in world.told[1].rounds[0].outcomes}
        assert outcomes == {"r1s1": "ok", "r1s2": "ok"}

    with_model(test, [[call(), mkdir("r1s2")], [ReplyWords("Done.", last=True)]])


def test_the_choice_is_the_clients() -> None:
    async def test(client: Client, world: Mind) -> None:
        for choice in ("none", "required", {"type": "function", "name": "clock"}):
            client.type("go", output_modalities=["text"], tool_choice=choice)
            await client.until("response.done")
        told = [(said.tool_choice, sorted(tool.action for tool in said.tools)) for said in world.told]
        assert told == [
            ("none", ["clock", "mkdir", "weather"]),
            ("required", ["clock", "weather"]),
            ("required", ["clock"]),
        ]

    with_model(test, [[ReplyWords("Yes.", last=True)]])


def test_a_reply_that_is_too_long_is_incomplete() -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("go", output_modalities=["text"], max_output_tokens=5)
        done = (await client.until("response.done"))["response"]
        assert done["status_details"] == {"type": "incomplete", "reason": "max_output_tokens"}
        assert world.told[0].max_tokens == 5

    with_model(test, [[ReplyWords("One two", last=True, cut=True)]])


def test_a_response_is_cancelled_while_the_model_thinks_and_while_a_call_waits() -> None:
    async def test(client: Client, world: Mind) -> None:
        client.type("go", output_modalities=["text"])
        await client.until("response.created")
        await asyncio.sleep(0.1)
        client.send("response.cancel")
        assert (await client.until("response.done"))["response"]["status"] == "cancelled"
        gate.set()
        client.type("again", output_modalities=["text"])
        waiting = (await client.until("response.done"))["response"]["output"][0]
        client.send("response.cancel")
        assert (await client.error())["code"] == "response_cancel_not_active"
        client.type("never mind", output_modalities=["text"])
        assert text_of((await client.until("response.done"))["response"]) == "Well."
        answer(client, waiting["call_id"], "late")
        client.send("response.create", response={"output_modalities": ["text"]})
        await client.until("response.done")
        assert (world.told[-1].text, world.told[-1].rounds[0].outcomes[0].message) == ("again", "late")

    gate = asyncio.Event()
    with_model(test, [[gate, call()], [call()], [ReplyWords("Well.", last=True)]])


def test_a_conversation_that_the_client_had_before_is_restored() -> None:
    async def test(client: Client, world: Mind) -> None:
        item = {"type": "function_call", "call_id": "mine", "name": "weather", "arguments": '{"city": "Rome"}'}
        client.send("conversation.item.create", item=item)
        answer(client, "mine", "hot")
        client.type("well?", output_modalities=["text"])
        await client.until("response.done")
        (before,) = world.told[0].rounds
        assert (before.steps[0].parameters, before.outcomes[0].message) == ({"city": "Rome"}, "hot")

    with_model(test, [[ReplyWords("Hot.", last=True)]])


def test_without_a_language_model_it_is_said_in_words() -> None:
    async def run() -> None:
        world = World()
        world.plans["weather"] = Plan("p", "?", (), "unknown")
        async with session(world) as client:
            client.update(tools=[WEATHER], output_modalities=["text"])
            client.type("weather")
            assert "no language model" in text_of((await client.until("response.done"))["response"])
            client.type("what time is it")
            assert text_of((await client.until("response.done"))["response"]).endswith("what time is it")
            client.type("what time is it", tool_choice="required")
            assert "no language model" in text_of((await client.until("response.done"))["response"])

    virtual_time.run(run())
