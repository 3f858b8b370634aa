"""A conversation of which memory lacks turns: nothing from before a missing one is used."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.agent.format import ReplyFormat
from streaming.domain import TurnDone
from streaming.lanes.turn import TurnLane
from streaming.ports import CallContext, ConversationTurn, EagerEnd, ServiceError, SpeechStarted
from streaming.protocol.messages import TurnParams
from streaming.sound.microphone_format import MicrophoneFormat
from streaming.stored_turns import CONTEXT_TURNS, StoredTurns
from tests.streaming.jarvis.test_moving import move, replicas
from tests.support import virtual_time
from tests.support.openai_client import Client, scripted
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.talk import talk
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.support.house import House
    from tests.support.roamer import Roamer

CONTEXT = CallContext("u1", (), "s1", "r1")
REPLY = "one two three four five"


class Memory:
    """Keeps turns, unless it is full."""

    def __init__(self) -> None:
        self.full = False
        self.turns: list[ConversationTurn] = []

    async def put_turn(self, turn_id: str, role: str, text: str, _context: CallContext) -> None:
        if self.full:
            raise ServiceError("RESOURCE_EXHAUSTED", "the disk is full")
        self.turns.append(ConversationTurn(role, text, turn_id=turn_id))

    async def conversation(self, _session_id: str, limit: int, _context: CallContext) -> Sequence[ConversationTurn]:
        return self.turns[-limit:]


def put(stored: StoredTurns, memory: Any, *names: str, now: str = "") -> list[str]:
    """Put turns, of which a name in capitals is lost; returns what may be used then."""

    async def run() -> list[str]:
        for name in names:
            memory.full = name.isupper()
            try:
                await stored.put(memory, name, "user", name, CONTEXT)
            except ServiceError:
                assert memory.full
        return [turn.text for turn in await stored.newest(memory, CONTEXT, now)]

    return asyncio.run(run())


def test_nothing_from_before_a_missing_turn_is_used() -> None:
    stored, memory = StoredTurns(), Memory()
    assert put(stored, memory, "a", "b") == ["a", "b"]
    assert put(stored, memory, "C") == []
    assert put(stored, memory, "d") == ["d"]
    assert put(stored, memory, "e", "F", "g", "h") == ["g", "h"]


def test_the_turn_that_asks_may_be_missing_itself() -> None:
    stored, memory = StoredTurns(), Memory()
    assert put(stored, memory, "a", "B", now="B") == ["a"]
    assert put(stored, memory, "C", now="C") == []


@pytest.mark.parametrize("more", range(CONTEXT_TURNS + 3))
def test_no_number_of_later_turns_reaches_over_the_gap(more: int) -> None:
    for last in ("z", "Z"):
        stored, memory = StoredTurns(), Memory()
        later = [f"l{number}" for number in range(more)]
        found = put(stored, memory, "a", "b", "C", *later, last, now=last)
        assert found == [*later, *(["z"] if last == "z" else [])][-CONTEXT_TURNS:]


def test_a_turn_whose_storing_was_cancelled_may_be_missing() -> None:
    class Slow(Memory):
        async def put_turn(self, turn_id: str, role: str, text: str, context: CallContext) -> None:
            if self.full:
                raise asyncio.CancelledError
            await super().put_turn(turn_id, role, text, context)

    stored, memory = StoredTurns(), Slow()
    put(stored, memory, "a")
    with pytest.raises(asyncio.CancelledError):
        put(stored, memory, "B")
    assert put(stored, memory, "c") == ["c"]


def test_turns_that_memory_has_lost_since_are_missing_too() -> None:
    stored, memory = StoredTurns(), Memory()
    put(stored, memory, "a", "b", "c", "d")
    del memory.turns[1:3]  # as what is recovered from a damaged file
    assert put(stored, memory) == ["d"]
    del memory.turns[1:]
    assert put(stored, memory) == []


def test_a_turn_that_was_stored_though_its_answer_was_lost_is_there() -> None:
    stored, memory = StoredTurns(), Memory()
    put(stored, memory, "a", "B")
    memory.turns.append(ConversationTurn("user", "B", turn_id="B"))
    assert put(stored, memory, "c") == ["a", "B", "c"]


def test_a_memory_that_gives_no_ids_is_believed() -> None:
    stored, memory = StoredTurns(), Memory()
    put(stored, memory, "a")
    memory.turns = [ConversationTurn("user", "a"), ConversationTurn("user", "b")]
    assert put(stored, memory) == ["a", "b"]


# --- in both dialects ---


def test_a_conversation_of_jarvis() -> None:
    async def body() -> None:
        world = World()
        async with talk(world) as it:
            for count, words in enumerate(("keep", "later", "undo", "list", "again"), 1):
                if words == "later":
                    world.failing["put_turn"] = broken("memory")
                if words == "list":
                    del world.failing["put_turn"]
                it.microphone.say(words)
                await it.until(TurnDone, count)
        before = ["keep", f"{REPLY} keep"]
        assert world.conversations == [["keep"], before, [], ["list"], ["list", f"{REPLY} list", "again"]]

    virtual_time.run(body())


def test_nor_does_a_guess_reach_over_the_gap() -> None:
    async def body() -> None:
        world, outlet = World(), RecordingOutlet()
        lane = TurnLane(frame_for(world, outlet), MicrophoneFormat(endpointing=True), ReplyFormat())
        async with asyncio.TaskGroup() as group:
            group.create_task(lane.run())
            for words in ("keep", "later", "undo"):
                if words == "later":
                    world.failing["put_turn"] = broken("memory")
                if words == "undo":
                    world.recognitions[0].push(SpeechStarted(0), EagerEnd(400, words))
                    await asyncio.sleep(1)
                else:
                    world.recognitions[0].say(words)
                    await asyncio.sleep(30)
            lane.end()
        assert world.conversations[-1] == ["undo"]

    virtual_time.run(body())


@pytest.mark.parametrize("how", ["text", "speech"])
def test_a_session_that_moves_takes_the_gap_with_it(how: str) -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        count = 0

        async def say(words: str) -> None:
            nonlocal count
            count += 1
            if how == "text":
                roamer.open(TurnParams(text=words))
            else:
                world.recognitions[-1].say(words)
            await roamer.until("turn.done", count)

        await roamer.connect(first)
        if how == "speech":
            roamer.open(TurnParams())
            await roamer.until("channel.opened")
        await say("keep")
        world.failing["put_turn"] = broken("memory")
        await say("later")
        del world.failing["put_turn"]
        await asyncio.sleep(5)  # the record is written
        await move(roamer, second)
        await asyncio.sleep(1)
        await say("undo")
        assert world.conversations[-1] == ["undo"]

    replicas(test)


def test_a_conversation_of_openai() -> None:
    async def test(client: Client, world: World) -> None:
        client.update(output_modalities=["text"])
        for words in ("keep", "later", "undo", "list", "again"):
            if words == "later":
                world.failing["put_turn"] = broken("memory")
            if words == "list":
                del world.failing["put_turn"]
            client.type(words)
            await client.until("response.done")
            await client.soon()
        before = ["keep", f"{REPLY} keep"]
        assert world.conversations == [["keep"], before, [], ["list"], ["list", f"{REPLY} list", "again"]]

    scripted(test)


def item(text: str) -> dict[str, Any]:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


def test_items_that_could_not_be_stored_are_a_gap_where_they_are() -> None:
    """An item that the client adds is stored before the next turn, and one for a reply out of band in a conversation of its own."""

    async def test(client: Client, world: World) -> None:
        client.update(output_modalities=["text"])
        client.type("keep")
        await client.until("response.done")
        await client.soon()
        world.failing["put_turn"] = broken("memory")
        beside = [item("older"), item("newer")]
        client.send("response.create", response={"conversation": "none", "input": beside})
        await client.until("response.done")
        await client.soon()
        del world.failing["put_turn"]
        client.type("and now")
        await client.until("response.done")
        await client.soon()
        kept = ["keep", f"{REPLY} keep", "and now"]
        assert world.conversations == [["keep"], [], kept]
        said = {**item("It is noon."), "role": "assistant", "content": [{"type": "output_text", "text": "It is noon."}]}
        client.send("conversation.item.create", item=said)
        await client.until("conversation.item.done")
        world.failing["put_turn"] = broken("memory")
        client.type("and in Paris")
        await client.until("response.done")
        assert world.conversations[-1] == []

    scripted(test)
