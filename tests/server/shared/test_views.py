"""Many who watch one session: what they cost, and that nobody else waits for them."""

from __future__ import annotations

import asyncio
import gc
import json
import sys
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from server.net.loop_turns import LoopTurns
from server.shared.observation import FULL, ReplicaObservation
from server.shared.state import LocalState
from server.shared.views import MOST_OF_SESSION, MOST_OF_USER
from streaming.openai.watching import EventWatch
from streaming.ports import CallContext, Missed, SeenAudio, SeenFrame, SeenMessage, ServiceError
from streaming.watch import MAX_WAITING_BYTES, Watch

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from streaming.ports import Seen, Side, Watching


class Counted(EventWatch):
    """Counts what is read."""

    n_read = 0

    def read(self, side: Side, data: str | bytes) -> list[Seen]:
        type(self).n_read += 1
        return super().read(side, data)


class Sounds(Watch):
    """Shows what it is told: a number is a sound, everything else a frame."""

    def wants(self, data: str | bytes) -> bool:
        return True

    def read(self, side: Side, data: str | bytes) -> Sequence[Seen]:
        if data == "fault":
            raise ValueError(data)
        if isinstance(data, str):
            return [SeenAudio(side, int(data), "pcm_s16le", 16_000)]
        return [SeenFrame(data, 0, last=False)]


class Watched:
    def __init__(self, kind: type[Any] = Counted) -> None:
        self.identity = SimpleNamespace(user_id="ada")
        self.taps: list[Any] = []
        self.kind = kind

    def watch(self, *, audio: bool) -> Any:
        return self.kind(self, audio=audio) if issubclass(self.kind, EventWatch) else self.kind(self)

    def receive(self, data: str | bytes) -> None:
        for tap in self.taps:
            tap.received(data, 0.0)


@asynccontextmanager
async def observed(sessions: dict[str, Watched], link: Any = None) -> AsyncIterator[ReplicaObservation]:
    residents: Any = SimpleNamespace(current=sessions.get)
    async with asyncio.TaskGroup() as group:
        yield ReplicaObservation(LocalState(), link, group, residents, LoopTurns())


async def watching(observation: ReplicaObservation, session_id: str = "kitchen", *roles: str) -> Watching:
    user_id = "root" if roles else "ada"
    seen = await observation.watch(session_id, CallContext(user_id, roles=roles), audio=True)
    assert seen is not None
    return seen


def message(number: int) -> str:
    return json.dumps({"type": "ping", "t": number})


async def test_a_message_is_read_once_for_all_who_watch() -> None:
    kitchen = Watched()
    Counted.n_read = 0
    async with observed({"kitchen": kitchen}) as observation:
        sights = [await watching(observation) for _ in range(MOST_OF_SESSION)]
        for number in range(5):
            kitchen.receive(message(number))
        for sight in sights:
            seen = [await anext(sight) for _ in range(5)]
            assert seen == [SeenMessage("client", message(number)) for number in range(5)]
            await sight.aclose()
        assert Counted.n_read == 5
        assert kitchen.taps == []


async def test_what_a_session_has_is_passed_on_in_turns_of_the_loop() -> None:
    """A read has hundreds of messages, and each of them is told to each who watches."""
    kitchen = Watched()
    Counted.n_read = 0
    async with observed({"kitchen": kitchen}) as observation:
        sight = await watching(observation)
        for number in range(300):
            kitchen.receive(message(number))
        read, most = 0, 0
        while read < 300:
            await asyncio.sleep(0)
            most, read = max(most, Counted.n_read - read), Counted.n_read
        assert most <= 64
        await sight.aclose()


async def test_a_user_has_so_many_observers() -> None:
    sessions = {f"s{number}": Watched() for number in range(MOST_OF_USER)} | {"kitchen": Watched()}
    async with observed(sessions) as observation:
        sights = [await watching(observation) for _ in range(MOST_OF_SESSION)]
        with pytest.raises(ServiceError, match="at most 8 channels observe a session at once") as refused:
            await watching(observation)
        assert refused.value.code == "RESOURCE_EXHAUSTED"
        assert len(sessions["kitchen"].taps) == 1
        admins = await watching(observation, "kitchen", "admin")
        sights += [await watching(observation, f"s{number}") for number in range(MOST_OF_USER - MOST_OF_SESSION)]
        with pytest.raises(ServiceError, match="at most 32 channels of a user"):
            await watching(observation, "s31")
        await sights.pop(0).aclose()
        sights.append(await watching(observation))
        for sight in [*sights, admins]:
            await sight.aclose()
        assert not observation._views._watching
        assert not observation._views._views


async def test_observers_at_other_replicas_are_bounded_too() -> None:
    """And are told so, instead of that there is no such session."""
    published: list[tuple[str, bytes]] = []
    hold = asyncio.Event()

    async def answer(_publish: str, _channel: str, _data: bytes) -> int:
        await hold.wait()
        return 0

    link: Any = SimpleNamespace(
        up=True,
        call=answer,
        submit=lambda _publish, channel, data: published.append((channel, data)),
        subscription=lambda: Answering(FULL),
    )
    async with observed({"kitchen": Watched()}, link) as observation:
        for number in range(MOST_OF_SESSION + 1):
            observation.on_asked("kitchen", "ada", admin=False, audio=False, channel=f"c{number}")
        assert published == [(f"c{MOST_OF_SESSION}", FULL)]
        with pytest.raises(ServiceError, match="at the replica of that session") as refused:
            await watching(observation, "far")
        assert refused.value.code == "RESOURCE_EXHAUSTED"
        assert not observation._elsewhere
        hold.set()


class Answering:
    """A subscription whose first message is this one."""

    def __init__(self, said: bytes) -> None:
        self.said = said

    async def open(self, channel: str, within_s: float) -> None: ...

    async def next(self, _within_s: float) -> bytes:
        return self.said

    async def close(self, within_s: float) -> None: ...


async def test_a_sound_is_announced_to_whoever_comes_later() -> None:
    kitchen, sound = Watched(Sounds), SeenAudio("client", 7, "pcm_s16le", 16_000)
    async with observed({"kitchen": kitchen}) as observation:
        first = await watching(observation)
        kitchen.receive("7")
        kitchen.receive(b"one")
        assert [await anext(first) for _ in range(2)] == [sound, SeenFrame(b"one", 0, last=False)]
        second = await watching(observation)
        kitchen.receive(b"two")
        assert await anext(first) == SeenFrame(b"two", 0, last=False)
        assert [await anext(second) for _ in range(2)] == [sound, SeenFrame(b"two", 0, last=False)]
        for sight in (first, second):
            await sight.aclose()


async def test_one_who_does_not_read_misses_what_others_see() -> None:
    kitchen, piece = Watched(Sounds), bytes(MAX_WAITING_BYTES // 2 - 1024)
    async with observed({"kitchen": kitchen}) as observation:
        slow, quick = await watching(observation), await watching(observation)
        for _ in range(4):
            kitchen.receive(piece)
            assert await anext(quick) == SeenFrame(piece, 0, last=False)
        seen = [await anext(slow) for _ in range(3)]
        assert seen == [SeenFrame(piece, 0, last=False)] * 2 + [Missed(0, len(piece) * 2)]
        for sight in (slow, quick):
            await sight.aclose()


def memory_of(waiting: object) -> int:
    """Bytes of the objects that it holds, counted once each."""
    found: dict[int, object] = {}
    rest = [waiting]
    while rest:
        thing = rest.pop()
        if id(thing) not in found and not isinstance(thing, type):
            found[id(thing)] = thing
            rest += gc.get_referents(thing)
    return sum(map(sys.getsizeof, found.values()))


async def test_what_waits_takes_no_more_memory_than_is_counted() -> None:
    """Parsed, each of these messages took 27 times as much as its text."""
    text = '{"type":"x","a":[' + ",".join(['{"":0}'] * 4_900) + "]}"
    kitchen = Watched()
    async with observed({"kitchen": kitchen}) as observation:
        sight: Any = await watching(observation)
        for _ in range(MAX_WAITING_BYTES // len(text) + 3):
            kitchen.receive(text[:-1] + " }")  # a text of its own
        while kitchen.taps[0]._waiting or not sight._waiting:
            await asyncio.sleep(0)
        assert MAX_WAITING_BYTES / 2 < memory_of(sight._waiting) < MAX_WAITING_BYTES
        assert isinstance(await anext(sight), SeenMessage)
        await sight.aclose()


async def test_what_cannot_be_read_ends_those_who_watch_and_nothing_else() -> None:
    kitchen = Watched(Sounds)
    async with observed({"kitchen": kitchen}) as observation:
        sight = await watching(observation)
        kitchen.receive("fault")
        with pytest.raises(ValueError, match="fault"):
            await anext(sight)
        assert kitchen.taps == []
        await sight.aclose()
        assert not observation._views._watching
