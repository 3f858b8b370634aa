"""What a session costs whose client says nothing: few calls a heartbeat, and no work for nothing."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from streaming.jarvis.journal import REFRESH_S
from streaming.jarvis.live import LiveSession
from streaming.jarvis.registry import SWEEP_S, Sessions
from streaming.protocol.limits import Limits
from tests.streaming.jarvis.test_calls_per_frame import calls_in_streaming
from tests.support.house import FakeStore, House, housed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.world import World

PING_CALLS = 18  # 18 today; 39 when it went through the queue
PONG_CALLS = 15  # 15 today; 34 when it was read like any other message
HEARTBEAT_S = Limits().heartbeat_s


def test_a_heartbeat_takes_few_calls() -> None:
    """Python calls within `streaming/`: from the timer to the ping's text, and for its answer."""

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="ping", t=1)
        await socket.until("pong")
        asked = await socket.until("ping")
        line = socket.line
        assert line is not None
        wakes: list[None] = []
        socket.wake = lambda: wakes.append(None)  # type: ignore[method-assign]
        answer = f'{{"type":"pong","t":{asked["t"]}}}'.encode()
        taken: list[bool] = []
        pong = calls_in_streaming(lambda data: taken.append(line.hear(data.decode())), [answer])
        assert taken == [True]
        assert wakes == []
        assert line.traffic.texts_received == 2
        assert len(pong) <= PONG_CALLS, pong
        line.live._wakes.cancel(line.live._wake_step, line.live._on_deadline)
        await asyncio.sleep(HEARTBEAT_S + 0.1)
        ping = calls_in_streaming(lambda _data: line.live._on_deadline(), [b""])
        assert len(ping) <= PING_CALLS, ping
        assert len(socket.of("ping")) == 2
        assert wakes == []
        assert line.traffic.texts_sent == len(socket.texts)

    housed(test)


@pytest.mark.plain_python("replaces a method")
def test_one_timer_fires_for_each_heartbeat(monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[None] = []
    look = LiveSession._on_deadline

    def counted(live: LiveSession) -> None:
        looks.append(None)
        look(live)

    async def test(house: House, _world: World) -> None:
        monkeypatch.setattr(LiveSession, "_on_deadline", counted)
        socket = await house.enter()
        socket.say(type="ping", t=1)
        for heartbeat in range(1, 11):
            asked = await socket.until("ping", count=heartbeat)
            await asyncio.sleep(0.07)  # the way of the answer
            assert socket.line is not None
            assert socket.line.hear(f'{{"type":"pong","t":{asked["t"]}}}')
        assert len(looks) == 11  # the first timer was set when the session began, before the client said anything

    housed(test)


def test_a_client_that_sends_no_message_but_anything_else_stays_and_is_not_asked() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        assert socket.line is not None
        for _ in range(10):
            await asyncio.sleep(HEARTBEAT_S / 2)
            socket.line.heard()
        assert (socket.ended, socket.of("ping")) == (None, [])
        await asyncio.sleep(2 * HEARTBEAT_S + 0.1)
        assert socket.ended == (1001, "nothing was heard from the client")
        socket.line.heard()  # too late, and no fault

    housed(test)


def test_a_heartbeat_writes_no_record() -> None:
    store = FakeStore()

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="call", id="a", op="echo")
        await socket.until("result")
        await asyncio.sleep(REFRESH_S / 2)
        socket.say(type="call", id="b", op="echo")
        await socket.until("result", id="b")
        await asyncio.sleep(1)
        written = store.writes
        asked = await socket.until("ping")
        assert store.writes == written
        socket.say(type="pong", t=asked["t"])
        await asyncio.sleep(REFRESH_S / 2)
        assert store.writes > written  # before it expires

    housed(test, store=store)


def test_sessions_with_a_socket_are_not_looked_at_each_second(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(house: House, _world: World) -> None:
        staying, leaving = await house.enter("s1"), await house.enter("s2")
        looks: list[None] = []

        def look(_sessions: Sessions) -> Iterator[LiveSession]:
            looks.append(None)
            return iter(())

        monkeypatch.setattr(Sessions, "__iter__", look)
        leaving.line.closed(for_good=True)  # type: ignore[union-attr]
        await asyncio.sleep(5 * SWEEP_S)
        assert looks == []
        assert [resident.session_id for resident in house.sessions.residents] == ["s1"]
        monkeypatch.undo()
        staying.say(type="ping", t=1)
        await staying.until("pong")

    housed(test)


def test_a_client_that_does_not_read_is_asked_by_the_queue() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="ping", t=1)
        await socket.until("pong")
        socket.reading = False
        await asyncio.sleep(HEARTBEAT_S + 0.1)
        assert socket.of("ping") == []
        socket.reading = True
        socket.wake()
        await socket.until("ping")

    housed(test)
