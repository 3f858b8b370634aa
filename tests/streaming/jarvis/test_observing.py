"""Observing a session: what is visible and what is hidden, and that a slow observer does not slow the session."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.jarvis.observing import ChannelWatch
from streaming.ports import CallContext, Missed, Seen, SeenAudio, SeenFrame, SeenMessage
from streaming.watch import MAX_WAITING_BYTES, held_bytes
from tests.support.house import USER, FakeSocket, FakeStore, House, housed

if TYPE_CHECKING:
    from streaming.jarvis.live import LiveSession
    from tests.support.world import World


async def taken(watch: ChannelWatch, count: int) -> list[Seen]:
    found: list[Seen] = []
    async with aclosing(watch) as seen, asyncio.timeout(10):
        async for each in seen:
            found.append(each)
            if len(found) == count:
                break
    return found


def live(socket: FakeSocket) -> LiveSession:
    assert socket.line is not None
    return socket.line.live


def test_both_sides_are_seen_and_secrets_are_not() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        watch = ChannelWatch(live(socket), audio=False)
        socket.say(type="auth.refresh", token="s3cret", id="a")
        socket.say(type="ping", t=1)
        seen = await taken(watch, 4)
        kinds = {(each.direction, json.loads(each.text)["type"]) for each in seen if isinstance(each, SeenMessage)}
        assert kinds == {("client", "auth.refresh"), ("client", "ping"), ("server", "pong"), ("server", "error")}
        assert "s3cret" not in repr(seen)
        assert live(socket).taps == []

    housed(test)


def test_a_watch_that_nobody_has_looked_at_is_closed_too() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        watch = live(socket).watch(audio=False)
        assert len(live(socket).taps) == 1
        await watch.aclose()
        assert live(socket).taps == []
        assert [each async for each in watch] == []

    housed(test)


def test_sound_is_announced_before_its_frames() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt", params={"encoding": "mulaw", "sample_rate": 8000})
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one"})
        await socket.until("channel.closed", channel=3)
        watch = ChannelWatch(live(socket), audio=True)
        for number in range(2):
            socket.sound(1, number, b"\xff" * 160)
        socket.say(type="channel.open", channel=5, kind="tts", params={"text": "two"})
        found = await taken(watch, 8)
        sounds = [each for each in found if isinstance(each, SeenAudio)]
        assert sounds == [SeenAudio("client", 1, "mulaw", 8000), SeenAudio("server", 5, "pcm_s16le", 16_000)]
        assert found[1:3] == [SeenFrame(b"\xff" * 160, 0, last=False)] * 2

    housed(test)


def test_an_observing_channel_tells_and_plays_what_is_seen() -> None:
    async def test(house: House, _world: World) -> None:
        kitchen, desk = await house.enter("kitchen"), await house.enter("desk")
        desk.say(type="channel.open", channel=1, kind="observe", params={"session_id": "kitchen", "audio": True})
        desk.say(type="channel.open", channel=3, kind="observe", params={"session_id": "desk"})
        desk.say(type="channel.open", channel=5, kind="observe", params={"session_id": "attic"})
        assert (await desk.until("channel.closed", channel=3))["code"] == "INVALID_ARGUMENT"
        assert (await desk.until("channel.closed", channel=5))["code"] == "NOT_FOUND"
        kitchen.say(type="channel.open", channel=1, kind="tts", params={"text": "one two"})
        await kitchen.until("channel.closed", channel=1)
        told = await desk.until("observe.audio")
        assert (told["direction"], told["source_channel"], told["sample_rate"]) == ("server", 1, 16_000)
        assert kitchen.line is not None
        kitchen.line.closed(for_good=True)
        assert (await desk.until("channel.closed", channel=1))["status"] == "ok"
        words = [each["message"]["words"][0]["text"] for each in desk.of("observe.event") if "words" in each["message"]]
        assert words == ["one", "two"]
        assert b"".join(each.payload for each in desk.frames) == b"".join(each.payload for each in kitchen.frames)

    housed(test)


def test_a_slow_observer_misses_and_the_session_waits_for_nothing() -> None:
    async def test(house: House, _world: World) -> None:
        watch = ChannelWatch(live(await house.enter()), audio=True)
        text = json.dumps({"type": "tts.text", "channel": 1, "text": "x" * 65_536})
        fitted = MAX_WAITING_BYTES // held_bytes(text)
        for _ in range(fitted + 3):
            watch.received(text, 0.0)
        watch.received(b"x" * 65_536, 0.0)
        seen = await taken(watch, fitted + 1)
        assert seen[-1] == Missed(3, 65_536)

    housed(test)


def test_a_channel_that_nobody_reads_is_told_what_it_missed_and_its_session_lives() -> None:
    async def test(house: House, _world: World) -> None:
        kitchen, desk = await house.enter("kitchen"), await house.enter("desk")
        desk.say(type="channel.open", channel=1, kind="observe", params={"session_id": "kitchen"})
        await desk.until("channel.opened")
        desk.reading = False
        for number in range(60):
            kitchen.say(type="call", id=f"c{number}", op="echo", params={"x": "y" * 20_000})
            await kitchen.until("result", id=f"c{number}")
        assert live(desk).connection.queue_bytes < 200_000
        desk.reading = True
        desk.wake()
        assert (await desk.until("observe.dropped"))["messages"] > 10
        assert desk.ended is None

    housed(test)


def test_those_who_watch_each_other_see_no_end_of_mirrors() -> None:
    async def test(house: House, _world: World) -> None:
        watch = ChannelWatch(live(await house.enter()), audio=True)
        watch.sent(['{"type":"observe.event","channel":1}', '{"type":"pong","t":1}', b"short"], 0.0)
        watch.received("[1]", 0.0)
        watch.received("no JSON", 0.0)
        watch.ended()
        assert await taken(watch, 9) == [SeenMessage("server", '{"type":"pong","t":1}')]

    housed(test)


def test_what_a_client_itself_says_of_observing_is_seen() -> None:
    """It is a mistake, and the answer alone would be a riddle."""

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        watch = ChannelWatch(live(socket), audio=False)
        assert socket.line is not None
        socket.line.feed(['{"type":"observe.event","channel":1}'])
        seen = [json.loads(each.text) for each in await taken(watch, 2) if isinstance(each, SeenMessage)]
        assert [(each["type"], each.get("code")) for each in seen] == [
            ("observe.event", None),
            ("error", "UNKNOWN_TYPE"),
        ]

    housed(test)


def test_where_a_session_can_be_resumed_is_seen_too() -> None:
    """The notice goes ahead of a batch, and is in none."""

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        watch = ChannelWatch(live(socket), audio=False)
        assert house.store is not None
        house.store.state = "read-only"
        socket.say(type="call", id="c1", op="echo", params={})
        await socket.until("session.resumable")
        seen = [json.loads(each.text) for each, _ in watch.take(99) if isinstance(each, SeenMessage)]
        assert [each["type"] for each in seen].count("session.resumable") == 1
        assert {each["resume_token"] for each in seen if "resume_token" in each} == {"(hidden)"}
        await watch.aclose()

    housed(test, store=FakeStore())


def test_only_ones_own_sessions_are_there_unless_one_is_admin() -> None:
    async def test(house: House, _world: World) -> None:
        await house.enter("kitchen", replace(USER, user_id="ada"))

        async def may(user_id: str, role: str, session_id: str = "kitchen") -> bool:
            context = CallContext(user_id=user_id, roles=(role,), session_id="mine", request_id="r")
            watch = await house.observation.watch(session_id, context, audio=False)
            return watch is not None

        assert await may("ada", "user")
        assert not await may("bob", "user")
        assert await may("bob", "admin")
        assert not await may("ada", "admin", "attic")

    housed(test)


POISON = (
    '{"type":"tts.started","channel":1}',
    '{"type":"channel.open","channel":true}',
    '{"a":' * 3_000 + "1" + "}" * 3_000,
    '{"token":' + "[" * 50_000 + "]" * 50_000 + "}",
    '{"a":' * 400 + "1" + "}" * 400,
    '{"id":"\\ud800"}',
    '{"a":1e400}',
    '{"type":"channel.open","channel":-1}',
    b"",
    b"\x09" + bytes(31),  # a frame of another version
    b"\x01\xff" + bytes(31),
)


@pytest.mark.parametrize("text", POISON)
def test_nothing_that_a_client_says_ends_the_look(text: str | bytes) -> None:
    async def test(house: House, _world: World) -> None:
        watch = ChannelWatch(live(await house.enter()), audio=True)
        watch.received(text, 0.0)
        watch.received('{"type":"ping","t":1}', 0.0)
        messages: list[Any] = []
        async with aclosing(watch) as seen, asyncio.timeout(10):
            async for each in seen:
                if isinstance(each, SeenMessage):
                    messages.append(json.loads(each.text))
                    if messages[-1]["type"] == "ping":
                        break
        assert messages[-1] == {"type": "ping", "t": 1}

    housed(test)
