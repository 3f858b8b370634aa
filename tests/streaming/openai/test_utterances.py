"""Words whose reply was cut by further words: the further ones may go on with them, and a yes is none to an older question."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import FinalTranscript, Plan, SpeechStarted, SpeechStopped, Step
from tests.support.openai_client import FRAME, Client, risky, scripted

if TYPE_CHECKING:
    from tests.support.world import World

SAID_S = 5.0  # after this, a question was played to its end
CUT_S = 0.3  # after this, a slow turn has given no reply
SLOW = ["intent", "planner", "memory"]
ASKED_BACK = "A question is still open. Shall I remove x?"


async def asked(client: Client, world: World) -> None:
    """The agent has asked a question."""
    risky(world, "medium")
    client.send("input_audio_buffer.append", audio=FRAME)
    client.speak("wipe it")
    await client.until("response.done")
    await asyncio.sleep(SAID_S)


async def reply(client: Client) -> str:
    """The next reply that was not cut."""
    while (response := (await client.until("response.done"))["response"])["status"] == "cancelled":
        pass
    return str(response["output"][0]["content"][0]["transcript"]) if response["output"] else ""


async def cut_words(client: Client, world: World, text: str, slow: str) -> None:
    """Words that get no reply, as others follow at once."""
    world.slow_s[slow] = 1.0
    client.speak(text)
    await asyncio.sleep(CUT_S)
    del world.slow_s[slow]


def typed(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


@pytest.mark.parametrize("slow", SLOW)
def test_a_yes_after_words_to_somebody_else_approves_nothing_before_the_question_is_asked_again(slow: str) -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        await cut_words(client, world, "Mum, may I go outside?", slow)
        client.speak("yes")
        assert await reply(client) == ASKED_BACK
        await asyncio.sleep(SAID_S)
        assert world.executed == []
        client.speak("yes")
        await reply(client)
        await asyncio.sleep(SAID_S)
        assert len(world.executed) == 1

    scripted(test)


def test_nor_if_the_client_cancels_the_reply() -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        await cut_words(client, world, "Mum, may I go outside?", "planner")
        client.send("response.cancel")
        client.speak("yes")
        assert await reply(client) == ASKED_BACK
        assert world.executed == []

    scripted(test)


@pytest.mark.parametrize("by_voice", [False, True])
def test_nor_if_the_words_were_typed_and_not_to_be_answered(*, by_voice: bool) -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        for text in ("Mum, may I go outside?", "yes")[: 2 - by_voice]:
            client.send("conversation.item.create", item=typed(text))
        if by_voice:
            client.speak("yes")
        else:
            client.send("response.create")
        assert await reply(client) == ASKED_BACK
        await asyncio.sleep(SAID_S)
        assert world.executed == []

    scripted(test)


def test_nor_if_the_yes_is_the_response_s_own_input() -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        client.send("conversation.item.create", item=typed("Mum, may I go outside?"))
        client.send("response.create", response={"input": [typed("yes")]})
        assert await reply(client) == ASKED_BACK
        await asyncio.sleep(SAID_S)
        assert world.executed == []
        client.send("response.create", response={"input": [typed("yes")]})
        await asyncio.sleep(SAID_S)
        assert len(world.executed) == 1

    scripted(test)


def test_nor_if_the_yes_was_typed_before_the_question_was_asked() -> None:
    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        world.slow_s["planner"] = 1.0
        client.type("wipe it")
        await asyncio.sleep(CUT_S)
        client.send("conversation.item.create", item=typed("yes"))
        await client.until("response.done")
        await asyncio.sleep(SAID_S)
        client.send("response.create")
        await asyncio.sleep(SAID_S)
        assert world.executed == []

    scripted(test)


def test_nor_if_its_turn_was_about_to_begin_when_the_question_was_asked() -> None:
    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        detection = {"type": "server_vad", "interrupt_response": False}
        client.update(audio={"input": {"turn_detection": detection}})
        client.send("input_audio_buffer.append", audio=FRAME)
        world.slow_s["memory"] = 2.0
        client.speak("wipe it")
        await asyncio.sleep(CUT_S)
        client.speak("yes")
        await asyncio.sleep(3 * SAID_S)
        assert world.executed == []

    scripted(test)


@pytest.mark.parametrize("how", ["older", "again", "repeated", "instructions", "deleted"])
def test_nor_if_the_yes_is_older_or_nobody_s_or_other_words_were_deleted(how: str) -> None:
    async def test(client: Client, world: World) -> None:
        given: dict[str, Any] = (
            {"response": {"input": [{"type": "item_reference", "id": "yes"}]}} if how == "again" else {}
        )
        if how == "instructions":
            given = {"response": {"instructions": "yes"}}
        if how in {"older", "again", "repeated"}:
            client.send("conversation.item.create", item=typed("yes") | {"id": "yes"})
        if how in {"again", "repeated"}:
            client.send("response.create")
            await client.until("response.done")
        risky(world, "medium")
        client.send("response.create", response={"input": [typed("wipe it")]})
        await client.until("response.done")
        await asyncio.sleep(SAID_S)
        if how == "deleted":
            client.send("conversation.item.create", item=typed("Mum, may I go outside?") | {"id": "other"})
            client.send("conversation.item.delete", item_id="other")
            client.send("conversation.item.create", item=typed("yes"))
        client.send("response.create", **given)
        await asyncio.sleep(SAID_S)
        assert world.executed == []
        client.type("yes")
        await asyncio.sleep(SAID_S)
        assert len(world.executed) == 1

    scripted(test)


def test_words_of_the_own_input_that_have_a_reply_there_are_not_between() -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        replied = {
            "type": "message",
            "role": "assistant",
            "content": [{"type": "output_text", "text": "Shall I remove x?"}],
        }
        client.send("response.create", response={"input": [typed("wipe it"), replied, typed("yes")]})
        await asyncio.sleep(SAID_S)
        assert len(world.executed) == 1

    scripted(test)


@pytest.mark.parametrize("given", [{"input": [typed("yes")]}, {"instructions": "yes"}])
def test_what_is_asked_out_of_band_in_writing_answers_no_question_and_is_no_reply(given: dict[str, Any]) -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        client.send("response.create", response={"conversation": "none", "output_modalities": ["text"], **given})
        await client.until("response.done")
        await asyncio.sleep(SAID_S)
        assert world.executed == []
        client.speak("yes")
        await asyncio.sleep(SAID_S)
        assert len(world.executed) == 1

    scripted(test)


@pytest.mark.parametrize("noise", ["", "Hm.", "Um, uh."])
def test_a_noise_before_the_yes_changes_nothing(noise: str) -> None:
    async def test(client: Client, world: World) -> None:
        await asked(client, world)
        await cut_words(client, world, noise, "planner")
        client.speak("yes")
        await asyncio.sleep(SAID_S)
        assert len(world.executed) == 1

    scripted(test)


def asked_of(world: World) -> list[str]:
    """What the user has asked, as the agent's memory has it."""
    return [text for role, text in world.turns.values() if role == "user"]


@pytest.mark.parametrize("slow", SLOW)
def test_words_that_go_on_with_those_before_them_are_one_request(slow: str) -> None:
    async def test(client: Client, world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        await cut_words(client, world, "Create a folder called lion.", slow)
        client.speak("And create a folder called tiger.")
        await reply(client)
        assert asked_of(world)[-1] == "Create a folder called lion, and create a folder called tiger."

    scripted(test)


def test_three_parts_of_a_request_are_one_too() -> None:
    async def test(client: Client, world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        await cut_words(client, world, "Open example.com,", "intent")
        await cut_words(client, world, "and read it,", "planner")
        client.speak("then tell me the time")
        await reply(client)
        assert asked_of(world)[-1] == "Open example.com, and read it, then tell me the time"

    scripted(test)


def test_a_question_that_further_words_cut_off_is_asked_after_their_reply() -> None:
    """The words were asked about before it was known that others go on with them."""

    async def test(client: Client, world: World) -> None:
        risky(world, "medium")
        world.plans["And wipe y."] = Plan(
            "p", "y is gone", (Step("1", "os", "rm", {"path": "y"}, (), "remove y"),), "x"
        )
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("wipe it")
        await client.until("response.output_audio.delta")
        await asyncio.sleep(CUT_S)
        client.speak("And wipe y.")
        for deed in ("Shall I remove y?", "Shall I remove x?"):
            while not (await reply(client)).startswith(deed):
                pass
            await asyncio.sleep(SAID_S)
            client.speak("yes")
        await asyncio.sleep(SAID_S)
        assert [parameters["path"] for _, parameters in world.executed] == ["y", "x"]

    scripted(test)


def slowly(compose: Any) -> Any:
    async def composed(*asked: Any) -> Any:
        await asyncio.sleep(1)
        return await compose(*asked)

    return composed


@pytest.mark.parametrize("how", ["others", "answered", "done", "cancelled"])
def test_words_that_do_not_go_on_or_were_answered_are_a_request_of_their_own(how: str) -> None:
    async def test(client: Client, world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        words = "What time is it?" if how == "others" else "And what time is it?"
        if how == "answered":
            client.speak("Create lion.")
            await client.until("response.output_audio.delta")
        elif how == "done":
            world.plans["Create lion."] = Plan("p", "made", (Step("1", "os", "ls", {}, (), "list"),), "x")
            world.compose = slowly(world.compose)  # type: ignore[method-assign]
            client.speak("Create lion.")
            while not world.executed:
                await asyncio.sleep(0.01)
        else:
            await cut_words(client, world, "Create lion.", "planner")
            if how == "cancelled":
                client.send("response.cancel")
        client.hear(SpeechStarted(1000), SpeechStopped(1500), FinalTranscript(words, 0.9, 1000, 1500))
        await asyncio.sleep(SAID_S)
        assert asked_of(world)[-1] == words

    scripted(test)
