"""A long append is parsed in a thread, in order and completely."""

from __future__ import annotations

import asyncio
import gc
import weakref
from base64 import b64encode

import pytest

from server.upstream.stt_stream import MAX_QUEUED_BYTES
from streaming.long_text import LongText
from streaming.openai.inbox import LONG_CHARS, LONG_COST
from streaming.openai.microphones import PIECE_MS
from streaming.openai.room import MOST_BYTES
from streaming.ports import FinalTranscript, ServiceError
from tests.support.openai_client import FRAME, Client, scripted, session
from tests.support.world import World

LONG = b64encode(bytes(2 * 1024 * 1024)).decode()
LONG_MS = 2 * 1024 * 1024 / 48


async def fed(client: Client) -> None:
    """Until the session has read what it was sent."""
    client.update(instructions="read")
    await client.until("session.updated")


def test_what_comes_behind_a_long_event_waits_for_it() -> None:
    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            assert client.live is not None
            client.send("input_audio_buffer.append", audio=LONG)
            client.send("input_audio_buffer.append", audio=FRAME)
            await fed(client)
            assert abs(client.live.microphones.fed_ms - LONG_MS - 100) < 1
            client.send("input_audio_buffer.append", audio=FRAME)
            assert abs(client.live.microphones.fed_ms - LONG_MS - 200) < 1
            await client.live.close()

    asyncio.run(run())


def test_a_session_is_busy_while_events_wait() -> None:
    """A gateway that stops waits for the answer to what has come."""

    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            live = client.live
            assert live is not None

            def must_finish() -> bool:
                return live.must_finish

            assert not must_finish()
            client.send("input_audio_buffer.append", audio=LONG)
            client.send("input_audio_buffer.clear")
            assert must_finish()
            await client.until("input_audio_buffer.cleared")
            await fed(client)
            assert not must_finish()
            await live.close()

    asyncio.run(run())


def test_others_have_their_turns_while_it_is_read() -> None:
    async def run() -> None:
        async with session(World(), model="", transcription=False) as client, asyncio.TaskGroup() as group:
            client.send("input_audio_buffer.append", audio=b64encode(bytes(15 * 1024 * 1024)).decode())
            reading = group.create_task(fed(client), name="read")
            turns = 0
            while not reading.done():
                await asyncio.sleep(0)
                turns += 1
            assert client.live is not None
            assert client.live.microphones.fed_ms > 300_000
            assert turns > client.live.microphones.fed_ms / PIECE_MS
            await client.live.close()

    asyncio.run(run())


def test_others_have_their_turns_between_the_events_behind_it() -> None:
    """A client may send thousands while its long one is read."""

    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            client.send("input_audio_buffer.append", audio=LONG)
            for _ in range(1_000):
                client.send("input_audio_buffer.clear")
            told, at_once = 0, 0
            while told < 1_000:
                await asyncio.sleep(0)
                before, told = told, len(client.of("input_audio_buffer.cleared"))
                at_once = max(at_once, told - before)
            assert at_once == 1
            assert client.live is not None
            await client.live.close()

    asyncio.run(run())


def test_mistakes_in_long_events_are_told_with_their_event_id() -> None:
    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            assert client.live is not None
            client.send("input_audio_buffer.append", event_id="odd", audio=b64encode(bytes(LONG_CHARS + 1)).decode())
            client.send("input_audio_buffer.append", event_id="rot", audio="!" * LONG_CHARS)
            client.live.receive("x" * (LONG_CHARS + 1))
            found = [await client.error() for _ in range(3)]
            assert [error.get("event_id") for error in found] == ["odd", "rot", None]
            assert [error["code"] for error in found] == ["invalid_value", "invalid_value", "invalid_json"]
            await client.live.close()

    asyncio.run(run())


def test_long_events_have_their_own_fields_only() -> None:
    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            assert client.live is not None
            client.send("input_audio_buffer.append", audio=LONG, colour="red")
            content = [{"type": "input_text", "text": "x" * LONG_CHARS}]
            client.send(
                "conversation.item.create", item={"type": "message", "role": "user", "content": content}, shape=1
            )
            found = [await client.error() for _ in range(2)]
            assert [error["param"] for error in found] == ["colour", "shape"]
            assert client.live.microphones.fed_ms == 0
            await client.live.close()

    asyncio.run(run())


def test_long_sound_in_an_item() -> None:
    async def run() -> None:
        world = World()
        async with session(world, model="", transcription=False) as client:
            assert client.live is not None
            content = [{"type": "input_audio", "audio": LONG}]
            client.send("conversation.item.create", item={"type": "message", "role": "user", "content": content})
            client.send("response.create", response={"output_modalities": ["text"]})
            await client.until("response.created")
            while not world.recognitions or not world.recognitions[-1].commits:
                await client.soon()
            assert abs(len(world.recognitions[-1].heard) - LONG_MS * 32) < 100  # but for the resampler's filter
            world.recognitions[-1].push(FinalTranscript("hello", 0.9, 0, 100))
            assert (await client.until("response.done"))["response"]["status"] == "completed"
            assert world.asked[0] == "intent hello"
            await client.live.close()

    asyncio.run(run())


@pytest.mark.parametrize(("event", "width"), [("x", 1), ("\N{GRINNING FACE}", 4)])
def test_too_much_behind_a_long_event_is_refused(event: str, width: int) -> None:
    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            assert client.live is not None
            for _ in range(4):  # one user gets half of the room
                client.live.receive(event * (MOST_BYTES // 2 // LONG_COST // 3 // width))
            assert (await client.error())["code"] == "input_audio_buffer_full"
            await client.live.close()

    asyncio.run(run())


def test_a_refused_event_is_kept_by_nothing() -> None:
    async def run() -> None:
        async with session(World(), model="", transcription=False) as client:
            assert client.live is not None
            events = [LongText(b"x" * (MOST_BYTES // 2 // LONG_COST // 3)) for _ in range(4)]
            last = weakref.ref(events[-1])
            while events:
                client.live.receive(events.pop(0))
            assert (await client.error())["code"] == "input_audio_buffer_full"
            assert last() is None
            await client.live.close()

    gc.disable()
    try:
        asyncio.run(run())
    finally:
        gc.enable()


@pytest.mark.parametrize("piece_ms", [100, 60_000])
def test_a_long_recording_waits_for_a_recogniser_that_is_slower(piece_ms: int) -> None:
    async def test(client: Client, world: World) -> None:
        piece = b64encode(bytes(48 * piece_ms)).decode()
        world.takes = False
        for _ in range(180_000 // piece_ms):
            client.send("input_audio_buffer.append", audio=piece)
        client.send("input_audio_buffer.commit")
        await client.soon()
        slow = world.recognitions[-1]
        taken_bytes = 0
        while not slow.commits or taken_bytes < len(slow.heard):
            await client.soon()
            assert len(slow.heard) - taken_bytes < MAX_QUEUED_BYTES
            new_bytes, taken_bytes = len(slow.heard) - taken_bytes, len(slow.heard)
            slow.on_taken(new_bytes)
        assert len(slow.heard) > 179 * 32_000  # the resampler keeps some back
        assert client.of("error") == []
        assert world.recognitions[-1] is slow

    scripted(test)


def test_events_behind_a_recording_do_not_wait_for_a_recogniser_that_has_failed() -> None:
    async def test(client: Client, world: World) -> None:
        world.takes = False
        client.send("input_audio_buffer.append", audio=b64encode(bytes(48 * 30_000)).decode())
        client.send("session.update", session={"type": "realtime", "instructions": "Be brief."})
        await client.soon()
        assert not client.of("session.updated")
        world.takes = True
        client.hear(ServiceError("INVALID_ARGUMENT", "no", service="stt"))
        await client.until("session.updated")

    scripted(test)
