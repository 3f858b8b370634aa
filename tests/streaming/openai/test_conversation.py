"""Items of a conversation: their limits, truncation, deletion, and approvals given as items."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.openai.conversation import MAX_CHARS, MAX_ITEMS, Entry
from streaming.openai.items import MAX_ITEM_CHARS, checked_item
from streaming.openai.mistakes import MistakeError
from streaming.ports import FinalTranscript, SpeechStarted, SpeechStopped
from tests.support.openai_client import FRAME, LONG, Client, risky, scripted, spoken

if TYPE_CHECKING:
    from tests.support.world import World


def test_an_approval_that_is_refused_as_an_item_approves_nothing() -> None:
    async def test(client: Client, world: World) -> None:
        risky(world)
        client.update(tools=[{"type": "mcp", "server_label": "jarvis"}], output_modalities=["text"])
        client.type("wipe it")
        asked = (await client.until("response.done"))["response"]["output"][0]
        answer = {"type": "mcp_approval_response", "approval_request_id": asked["id"], "approve": True}
        for wrong in (
            {"previous_item_id": "nowhere"},
            {"previous_item_id": 5},
            {"item": {**answer, "id": asked["id"]}},
        ):
            client.send("conversation.item.create", **{"item": answer, **wrong})
            await client.error()
        await asyncio.sleep(1)
        assert world.executed == []
        client.send("conversation.item.create", item=answer)
        await client.until("response.done")
        assert world.executed

    scripted(test)


def words(text: str, **more: Any) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}], **more}


def test_a_full_conversation_goes_on_in_speech() -> None:
    async def test(client: Client, _world: World) -> None:
        for index in range(MAX_ITEMS):
            client.send("conversation.item.create", item=words("x", id=str(index)))
        client.send("conversation.item.create", item=words("x"))
        assert (await client.error())["code"] == "conversation_too_long"
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("hello")
        assert (await client.until("response.done"))["response"]["status"] == "completed"
        client.send("conversation.item.retrieve", item_id="0")
        assert (await client.error())["code"] == "item_retrieve_invalid_item_id"

    scripted(test)


def test_an_item_holds_so_many_characters() -> None:
    checked_item(words("x" * MAX_ITEM_CHARS))
    for item in (
        words("x" * (MAX_ITEM_CHARS + 1)),
        {"type": "function_call_output", "call_id": "a", "output": "x" * (MAX_ITEM_CHARS + 1)},
    ):
        with pytest.raises(MistakeError) as refused:
            checked_item(item)
        assert refused.value.code == "string_above_max_length"


def test_a_conversation_holds_so_many_characters() -> None:
    async def test(client: Client, _world: World) -> None:
        size = 16 * 1024  # an event as short as this is read at once
        taken, told = -1, dict[str, Any](type="")
        while told["type"] != "error":
            taken += 1
            client.send("conversation.item.create", item=words("x" * size, id=str(taken)))
            told = await client.until("conversation.item.done", "error")
        assert told["error"]["code"] == "conversation_too_long"
        assert 0.97 * MAX_CHARS < taken * size <= MAX_CHARS  # parts and names count, too
        client.send("conversation.item.delete", item_id="0")
        client.send("conversation.item.create", item=words("x" * size))
        await client.until("conversation.item.done")

    scripted(test)


@pytest.mark.parametrize("then", ["cancel", "nothing", "speech", "next"])
@pytest.mark.parametrize("at_ms", [300, 0])
def test_the_clients_truncation_is_the_last_word(then: str, at_ms: int) -> None:
    """The gateway's own clock of the playback says later what was heard, and does not count then."""

    async def test(client: Client, world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        client.type(LONG if then == "cancel" else "so so so")
        delta = await client.until("response.output_audio.delta")
        if then == "cancel":
            await asyncio.sleep(1)
        else:
            await client.until("response.done")
        where = {"item_id": delta["item_id"], "content_index": 0}
        client.send("conversation.item.truncate", **where, audio_end_ms=at_ms)
        client.send("conversation.item.truncate", **where, audio_end_ms=700)  # what was cut does not come back
        if then == "cancel":
            client.send("response.cancel")
            await client.until("response.done")
        elif then == "speech":
            client.hear(SpeechStarted(900))
        elif then == "next":
            client.type("more", output_modalities=["text"])
            await client.until("response.done")
        await asyncio.sleep(10)
        heard = "one two" if at_ms else ""
        assert spoken(world)[0] == heard
        client.send("conversation.item.retrieve", item_id=delta["item_id"])
        assert (await client.until("conversation.item.retrieved"))["item"]["content"][0]["transcript"] == heard

    scripted(test)


@pytest.mark.parametrize("begun", ["response.output_audio.delta", "response.done"])
def test_what_is_deleted_while_it_is_spoken_is_not_remembered(begun: str) -> None:
    async def test(client: Client, world: World) -> None:
        client.type("so so so")
        await client.until("conversation.item.done")
        await client.until(begun)
        for item in client.of("conversation.item.added"):
            client.send("conversation.item.delete", item_id=item["item"]["id"])
        await asyncio.sleep(10)
        assert not any(text for _, text in world.turns.values())

    scripted(test)


def test_an_utterance_that_is_deleted_before_its_transcript_is_there_is_not_answered() -> None:
    async def test(client: Client, world: World) -> None:
        client.type("first", output_modalities=["text"])
        await client.until("response.done")
        client.send("input_audio_buffer.append", audio=FRAME)
        client.hear(SpeechStarted(100), SpeechStopped(500))
        item = await client.until("input_audio_buffer.committed")
        client.send("conversation.item.delete", item_id=item["item_id"])
        client.hear(FinalTranscript("hello", 0.9, 100, 500))
        await asyncio.sleep(5)
        assert len(client.of("response.created")) == 1
        assert client.of("conversation.item.input_audio_transcription.completed") == []
        assert len(world.turns) == 2

    scripted(test)


def test_items_are_created_in_place_retrieved_and_deleted() -> None:
    async def test(client: Client, world: World) -> None:
        for name in ("a", "b"):
            item = {"id": name, "type": "message", "role": "user", "content": [{"type": "input_text", "text": name}]}
            client.send("conversation.item.create", item=item)
        assert (await client.until("conversation.item.done"))["previous_item_id"] is None
        assert (await client.until("conversation.item.done"))["previous_item_id"] == "a"
        first = {"id": "r", "type": "message", "role": "system", "content": [{"type": "input_text", "text": "be kind"}]}
        client.send("conversation.item.create", previous_item_id="root", item=first)
        assert (await client.until("conversation.item.done"))["previous_item_id"] is None
        client.send("conversation.item.create", item={**first})
        assert (await client.error())["code"] == "item_create_duplicate_item_id"
        client.send("conversation.item.delete", item_id="a")
        assert (await client.until("conversation.item.deleted"))["item_id"] == "a"
        client.send("conversation.item.retrieve", item_id="b")
        assert (await client.until("conversation.item.retrieved"))["item"]["content"][0]["text"] == "b"
        client.send("response.create", response={"output_modalities": ["text"]})
        done = await client.until("response.done")
        assert done["response"]["output"][0]["content"][0]["text"].endswith("b")

    scripted(test)


def test_items_that_share_a_memory_keep_each_others_words() -> None:
    """A turn of two utterances is two items but one memory: a correction of one dropped the other's words."""

    async def test(client: Client, world: World) -> None:
        assert client.live is not None
        for index, text in enumerate(("One moment.", "It is noon.", "Anything else?")):
            item = {
                "id": str(index),
                "object": "realtime.item",
                "type": "message",
                "status": "completed",
                "role": "assistant",
                "content": [{"type": "output_text", "text": text}],
            }
            client.live.conversation.add(Entry(item, memory_id="t1-assistant"))
        client.send("conversation.item.delete", item_id="1")
        await client.until("conversation.item.deleted")
        await client.live.remembered.settled()
        assert world.turns["t1-assistant"] == ("assistant", "One moment. Anything else?")

    scripted(test)
