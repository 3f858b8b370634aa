"""Finding a session at other replicas, also while Redis hangs."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from types import SimpleNamespace
from typing import Any

import pytest

from server.net.loop_turns import LoopTurns
from server.shared import observation as observing
from server.shared.observation import ReplicaObservation
from server.shared.redis_errors import RedisDownError, RedisRefusedError
from server.shared.redis_subscription import Subscription
from server.shared.state import LocalState, RedisState
from streaming.openai.watching import EventWatch
from streaming.ports import CallContext, Missed, Seen, SeenAudio, SeenFrame, SeenMessage, ServiceError
from streaming.residents import Residents
from tests.server.redis_support import running_link


class PubSub:
    """Hangs in one of its steps, or answers at once that the session is seen."""

    def __init__(self, hangs_in: str) -> None:
        self.hangs_in = hangs_in
        self.began = asyncio.Event()
        self.go_on = asyncio.Event()
        self.closed = False

    async def subscribe(self, _channel: str) -> None:
        await self._step("subscribe")

    async def get_message(self, **_options: Any) -> dict[str, Any]:
        if self.hangs_in == "seen":
            self.hangs_in = "get_message"
            return {"type": "message", "data": observing.HELLO}
        await self._step("get_message")
        return {"type": "message", "data": b""}

    async def aclose(self) -> None:
        await self._step("aclose")
        self.closed = True

    async def _step(self, name: str) -> None:
        if name == self.hangs_in:
            self.began.set()
            await self.go_on.wait()


def linked(pubsub: Any) -> Any:
    """A link whose client subscribes by this."""
    client: Any = SimpleNamespace(pubsub=lambda: pubsub)
    return SimpleNamespace(up=True, subscription=lambda: Subscription(client))


@pytest.mark.parametrize("step", ["subscribe", "get_message", "seen"])
async def test_whoever_is_cancelled_leaves_no_subscription(step: str) -> None:
    """It would hold a connection to Redis for ever; also when cancelled again while it is being closed."""
    pubsub = PubSub(step)
    link = linked(pubsub)
    async with asyncio.TaskGroup() as group:
        observation = ReplicaObservation(LocalState(), link, group, Residents(), LoopTurns())

        async def watch() -> None:
            seen = await observation.watch("nobody", CallContext("ada"), audio=False)
            assert seen is not None
            async with aclosing(seen):
                await anext(seen)

        watching = group.create_task(watch())
        await pubsub.began.wait()
        pubsub.hangs_in = "aclose"
        for _ in range(2):
            pubsub.began.clear()
            watching.cancel()
            await asyncio.wait({watching}, timeout=0)
            await asyncio.sleep(0)
        assert not pubsub.closed
        pubsub.go_on.set()
    assert watching.cancelled()
    assert pubsub.closed


async def test_whoever_takes_nothing_leaves_no_subscription() -> None:
    """As whoever is cancelled before the first item."""
    pubsub = PubSub("seen")
    async with asyncio.TaskGroup() as group:
        observation = ReplicaObservation(LocalState(), linked(pubsub), group, Residents(), LoopTurns())
        seen = await observation.watch("far", CallContext("ada"), audio=False)
        assert seen is not None
        for _ in range(2):
            await seen.aclose()
        assert [each async for each in seen] == []
    assert pubsub.closed
    assert not observation._elsewhere
    assert not observation._watched


@pytest.mark.parametrize(
    "seen",
    [
        SeenMessage("client", '{"type":"ping", "t":1, "é":"\\n"}'),
        SeenMessage("server", "{}"),
        SeenAudio("client", 7, "opus", 48_000),
        SeenFrame(b"\0\1", 70_000, last=True),
        Missed(3, 4),
    ],
)
def test_what_is_seen_comes_through_redis(seen: Seen) -> None:
    assert observing._unpacked(observing._packed(seen)) == seen


def test_a_message_looks_as_it_does_to_replicas_of_an_older_version() -> None:
    older = b'm{"direction":"client","message":{"type":"ping","t":1}}'
    assert observing._unpacked(older) == SeenMessage("client", '{"type":"ping","t":1}')
    assert observing._packed(SeenMessage("client", '{"type":"ping","t":1}')) == older


async def test_a_user_observes_so_many_sessions_at_other_replicas() -> None:
    pubsubs: list[PubSub] = []

    def pubsub() -> PubSub:
        pubsubs.append(PubSub("seen"))
        return pubsubs[-1]

    client: Any = SimpleNamespace(pubsub=pubsub)
    link: Any = SimpleNamespace(up=True, subscription=lambda: Subscription(client))
    async with asyncio.TaskGroup() as group:
        observation = ReplicaObservation(LocalState(), link, group, Residents(), LoopTurns())

        async def watch(user_id: str, begun: asyncio.Event) -> None:
            seen = await observation.watch("far", CallContext(user_id), audio=False)
            assert seen is not None
            begun.set()
            async with aclosing(seen):
                await anext(seen)

        async def watching(user_id: str) -> asyncio.Task[None]:
            begun = asyncio.Event()
            task = group.create_task(watch(user_id, begun))
            await begun.wait()
            return task

        tasks = [await watching("ada") for _ in range(observing.MOST_ELSEWHERE)]
        with pytest.raises(ServiceError, match="at most 16 sessions at other replicas") as refused:
            await observation.watch("far", CallContext("ada"), audio=False)
        assert refused.value.code == "RESOURCE_EXHAUSTED"
        assert len(pubsubs) == observing.MOST_ELSEWHERE
        tasks.append(await watching("bob"))
        tasks[0].cancel()
        await asyncio.wait({tasks[0]})
        tasks.append(await watching("ada"))
        for task in tasks:
            task.cancel()
    assert all(each.closed for each in pubsubs)
    assert not observation._elsewhere


class Watched:
    """A session whose watch is of the real kind."""

    def __init__(self) -> None:
        self.identity = SimpleNamespace(user_id="ada")
        self.taps: list[Any] = []

    def watch(self, *, audio: bool) -> EventWatch:
        return EventWatch(self, audio=audio)


async def shown(answer: Any) -> Watched:
    """After it was asked for by another replica; `answer` is what Redis answers each time to what is published."""
    session: Any = Watched()
    residents: Any = SimpleNamespace(current=lambda _session_id: session)
    link: Any = SimpleNamespace(call=answer)
    async with asyncio.TaskGroup() as group:
        observation = ReplicaObservation(LocalState(), link, group, residents, LoopTurns())
        observation.on_asked("kitchen", "ada", admin=False, audio=True, channel="c")
        assert len(session.taps) == 1
    return session  # type: ignore[no-any-return]


@pytest.mark.parametrize("fault", ["nobody", RedisDownError, RedisRefusedError])
async def test_an_observer_that_leaves_before_it_is_answered_leaves_no_tap(fault: Any) -> None:
    async def answer(*_command: object) -> int:
        if fault == "nobody":
            return 0
        raise fault

    assert (await shown(answer)).taps == []


async def test_an_observer_that_leaves_a_silent_session_leaves_no_tap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "LISTENS_S", 0.01)
    published: list[bytes] = []

    async def answer(_publish: str, _channel: str, data: bytes) -> int:
        published.append(data)
        return int(len(published) < 3)

    assert (await shown(answer)).taps == []
    assert published == [observing.HELLO] * 3


class HangingPubSub:
    closed = False

    async def subscribe(self, _channel: str) -> None:
        await asyncio.Event().wait()

    async def aclose(self) -> None:
        self.closed = True


async def test_a_redis_that_hangs_has_no_session_to_show(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(observing, "CONNECT_S", 0.02)
    pubsub = HangingPubSub()
    link = linked(pubsub)
    async with asyncio.TaskGroup() as group:
        observation = ReplicaObservation(LocalState(), link, group, Residents(), LoopTurns())
        assert await observation.watch("nobody", CallContext("ada"), audio=False) is None
    assert pubsub.closed


async def test_observers_that_are_cancelled_leave_no_connection(redis_url: str) -> None:
    """At any moment of their way, of a real Redis."""
    async with running_link(redis_url) as link, asyncio.TaskGroup() as group:
        observation = ReplicaObservation(RedisState(link), link, group, Residents(), LoopTurns())

        async def connections() -> int:
            return len((await link.call("CLIENT", "LIST")).splitlines())

        async def watch() -> None:
            await observation.watch("nobody", CallContext("ada"), audio=False)

        await watch()
        before = await connections()
        for number in range(40):
            watching = group.create_task(watch())
            await asyncio.wait({watching}, timeout=number * 0.001)
            watching.cancel()
            await asyncio.wait({watching})
        while (left := await connections()) > before:
            await asyncio.sleep(0.01)
        assert left == before
