"""Sessions that move while the store is away, slow or behind."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Literal

import pytest

from streaming.jarvis.entry import enter
from streaming.jarvis.journal import GO_AHEAD_S
from streaming.jarvis.registry import Resume
from streaming.protocol.limits import Limits
from streaming.protocol.messages import ExecuteParams, SttParams, TtsParams
from streaming.protocol.outbox import MAX_UNSAVED
from tests.streaming.jarvis.test_moving import move, replicas
from tests.support.house import USER, FakeSocket, FakeStore

if TYPE_CHECKING:
    from streaming.jarvis.journal import WriteOutcome
    from tests.support.house import House
    from tests.support.roamer import Roamer
    from tests.support.world import World

FRAME = bytes(640)


def test_what_goes_on_without_a_record_is_told_and_is_resumed_from_no_old_one() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        old = roamer.client.resume_token
        first.store.away = True
        began = asyncio.get_running_loop().time()
        for n in (2, 3, 4):
            roamer.call("echo", n=n)
        await roamer.until("result", 4)
        assert asyncio.get_running_loop().time() - began >= GO_AHEAD_S
        assert roamer.client.resume_token != old
        await roamer.crash()
        first.store.away = False
        epoch = roamer.client.epoch
        assert old is not None
        stale = await second.enter(resume=Resume(old, 2))  # a client that ignores `session.resumable`
        assert (await stale.until("session.ready"))["resume_error"] == "NOT_FOUND"
        await roamer.connect(second)
        await asyncio.sleep(5)
        assert roamer.client.epoch != epoch

    replicas(test)


def test_a_session_that_lived_through_it_is_resumed_anywhere_again() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        first.store.away = True
        roamer.call("echo", n=1)
        await roamer.until("result")
        roamer.cut()
        await roamer.connect(first)
        roamer.call("echo", n=2)
        await roamer.until("result", 2)
        first.store.away = False
        await asyncio.sleep(1)
        epoch = roamer.client.epoch
        await move(roamer, second)
        roamer.call("echo", n=3)
        await roamer.until("result", 3)
        assert roamer.client.epoch == epoch
        assert len(first.store.records) == 1

    replicas(test)


@pytest.mark.parametrize("dies", [False, True])
def test_a_client_that_was_away_while_the_store_was_comes_back_anywhere_by_the_token_it_knows(dies: bool) -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        epoch, token = roamer.client.epoch, roamer.client.resume_token
        roamer.cut()
        for _ in range(2):  # two outages, and a new token in each
            first.store.away = True
            await asyncio.sleep(GO_AHEAD_S + 1)
            first.store.away = False
            await asyncio.sleep(1)
        if dies:
            await roamer.crash()
        await roamer.connect(second)
        roamer.call("echo", n=2)
        await roamer.until("result", 2)
        assert (roamer.client.epoch, roamer.client.resume_token) == (epoch, token)
        await move(roamer, first)
        roamer.call("echo", n=3)
        await roamer.until("result", 3)
        assert roamer.client.epoch == epoch

    replicas(test)


def test_a_record_that_lacks_what_the_client_missed_is_incomplete_and_still_good_for_the_right_number() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        for n in range(1, 4):
            roamer.call("echo", n=n)
        await roamer.until("result", 3)
        assert roamer.socket is not None
        assert roamer.socket.line is not None
        roamer.socket.line.feed([f'{{"type":"ack","seq":{roamer.client.last_seq}}}'])  # need not be kept any longer
        roamer.call("echo", n=4)
        await roamer.until("result", 4)
        token, received = roamer.client.resume_token or "", roamer.client.last_seq
        await roamer.crash()
        for wrong in (0, received + MAX_UNSAVED + 1):
            socket = await second.enter(resume=Resume(token, wrong))
            assert (await socket.until("session.ready"))["resume_error"] == "INCOMPLETE"
        right = await second.enter(resume=Resume(token, received))
        await right.until("session.resumed")

    replicas(test)


@pytest.mark.parametrize("late_s", [0.0, 0.01, 0.5, 0.99, 1.5])
@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_client_that_comes_too_late_is_told_so_or_misses_nothing(late_s: float, elsewhere: bool) -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        token, received = roamer.client.resume_token or "", roamer.client.last_seq
        assert roamer.socket is not None
        assert roamer.socket.line is not None
        roamer.socket.line.feed(['{"type":"call","id":"unread","op":"echo","params":{}}'])  # its answer is never sent
        roamer.cut()
        await asyncio.sleep(Limits().resume_window_s + late_s)
        late = await (second if elsewhere else first).enter(resume=Resume(token, received))
        await asyncio.sleep(1)
        greeting, *rest = late.texts
        if greeting["type"] == "session.ready":
            assert greeting["resume_error"] in {"EXPIRED", "NOT_FOUND"}
        else:
            assert late_s < 0.1  # timers are not that exact
            assert [message["id"] for message in rest if message["type"] == "result"] == ["unread"]

    replicas(test)


@pytest.mark.parametrize("how", ["url", "message"])
def test_a_resume_does_not_wait_for_the_record_of_a_session_that_is_not_used(
    how: Literal["url", "message"], monkeypatch: pytest.MonkeyPatch
) -> None:
    write: Any = FakeStore.write

    async def slowly(*arguments: Any) -> WriteOutcome:
        await asyncio.sleep(0.3)
        kept: WriteOutcome = await write(*arguments)
        return kept

    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        asked = Resume(roamer.client.resume_token or "", roamer.client.last_seq)
        await roamer.crash()
        monkeypatch.setattr(FakeStore, "write", slowly)
        clock = asyncio.get_running_loop().time
        began = clock()
        socket = await second.enter(resume=asked if how == "url" else None)
        if how == "message":
            socket.say(type="session.resume", resume_token=asked.token, last_seq=asked.last_seq)
        await socket.until("session.resumed")
        assert clock() - began < 0.1
        assert [text["type"] for text in socket.texts] == ["session.ready"] * (how == "message") + ["session.resumed"]
        await asyncio.sleep(2)
        await second.sessions.close()
        assert first.store is not None
        assert not first.store.records  # of neither session

    replicas(test)


def test_nothing_taken_from_a_hasty_client_is_acknowledged_before_the_record_has_it() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        await roamer.crash()
        asked = Resume(roamer.client.resume_token or "", roamer.client.last_seq)
        saved = await second.sessions.claim("s1", USER, asked)
        socket = FakeSocket(second.group)
        socket.reading = False
        socket.line = enter(second.sessions, "s1", USER, socket, asked, saved)
        for n in range(1, Limits().acknowledge_every + 1):
            socket.say(type="call", id=str(n), op="echo", seq=n)
        batch = socket.line.data_to_send()
        assert any('"type":"ack"' in str(item) for item in batch)
        assert socket.line.must_be_saved(batch)

    replicas(test)


def test_a_call_that_waits_to_be_allowed_ends_with_its_session() -> None:
    async def test(_roamer: Roamer, first: House, _second: House, _world: World) -> None:
        assert first.store is not None
        socket = await first.enter()
        first.store.away = True
        socket.say(type="call", id="a", op="echo", seq=1)
        await asyncio.sleep(GO_AHEAD_S + 1)  # the client was told, and does not confirm it
        assert socket.line is not None
        live = socket.line.live
        commands = live.commands
        assert commands.busy
        socket.line.closed(for_good=True)
        await live.close()
        await asyncio.sleep(0.1)
        assert not commands.busy

    replicas(test)


def test_no_effect_begins_that_an_old_record_could_begin_again() -> None:
    async def test(roamer: Roamer, first: House, _second: House, world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        first.store.away = True
        roamer.open(ExecuteParams(executor="os", action="echo", parameters={}))
        await asyncio.sleep(GO_AHEAD_S - 0.5)
        assert world.executed == []
        roamer.cut()  # nobody is told
        await asyncio.sleep(10)
        assert world.executed == []
        await roamer.connect(first)
        await roamer.until("task.started")
        await asyncio.sleep(0.1)
        assert len(world.executed) == 1

    replicas(test)


def test_a_store_that_was_away_gets_everything_when_it_is_back() -> None:
    async def test(roamer: Roamer, first: House, second: House, world: World) -> None:
        await roamer.connect(first)
        store: Any = first.store
        store.away = True
        first_channel = roamer.open(SttParams())
        await roamer.until("channel.opened")
        store.away = False
        roamer.open(TtsParams(text="one"))
        await roamer.until("channel.closed")
        await move(roamer, second)
        await asyncio.sleep(0.1)
        assert len(world.recognitions) == 2
        roamer.client.end_channel(first_channel)
        roamer.flush()
        await roamer.until("channel.closed", 2)

    replicas(test)


def test_the_replica_that_was_taken_for_dead_says_nothing_more() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        roamer.open(TtsParams(text="one two three four five six seven eight nine ten"))
        await roamer.until("tts.started")
        old = roamer.socket
        assert old is not None
        assert old.line is not None
        live = old.line.live
        old.open = False
        roamer.client.detach()
        await roamer.connect(second)
        await roamer.until("channel.closed")
        live.detach(old)
        await asyncio.sleep(1)
        assert live.lost
        assert len(roamer.of("tts.done")) == 1

    replicas(test)


def test_without_a_record_the_client_is_told_so() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        roamer.open(SttParams())
        await roamer.until("channel.opened")
        store: Any = first.store
        store.records.clear()
        before = roamer.client.epoch
        await move(roamer, second)
        await asyncio.sleep(0.1)
        assert roamer.client.epoch not in {before, None}

    replicas(test)


@pytest.mark.parametrize(
    "damage", [{"core": "{"}, {"core": "{}"}, {"lanes": '{"1": {"odd": true}}'}, {"commands": "[[1]]"}]
)
def test_a_record_of_another_version_costs_the_session_and_nothing_else(damage: dict[str, str]) -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        await roamer.connect(first)
        roamer.open(SttParams())
        await roamer.until("channel.opened")
        before = roamer.client.epoch
        store: Any = first.store
        for record in store.records.values():
            record.update(damage)
        await move(roamer, second)
        await asyncio.sleep(0.1)
        assert roamer.client.epoch not in {before, None}
        roamer.open(TtsParams(text="one"))
        await roamer.until("channel.closed")

    replicas(test)


def test_a_client_that_moved_is_greeted_before_a_slow_store_has_the_next_record() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        epoch, clock = roamer.client.epoch, asyncio.get_running_loop().time
        await roamer.crash()
        first.store.slow_s = 1.0
        delivered = roamer.delivered
        await roamer.connect(second)
        began = clock()
        while roamer.delivered == delivered:
            await asyncio.sleep(0.01)
        assert clock() - began < 0.1
        roamer.call("echo", n=2)
        await roamer.until("result", 2)
        assert clock() - began > 1.0  # text waits
        assert roamer.client.epoch == epoch

    replicas(test)
