"""What comes again or too late: a request that is repeated, the outcome of work that was cancelled."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

from streaming.ports import TaskResult
from streaming.protocol.limits import Limits
from tests.support import house as houses
from tests.support.house import FakeDesk, House, housed
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    import pytest

    from streaming.ports import CallContext, Identity, TaskEvent

REPEATS = 1_000
PATIENT = Limits(commands_per_s=10 * REPEATS, command_burst=10 * REPEATS)


def test_a_thousand_of_the_same_request_start_one_task(monkeypatch: pytest.MonkeyPatch) -> None:
    effects: Counter[str] = Counter()

    class Desk(FakeDesk):
        async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
            effects[op] += 1
            return await super().call(op, params, identity, context)

    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        before = len(asyncio.all_tasks())
        for _ in range(REPEATS):
            socket.say(type="call", id="same", op="echo", params={"wait_s": 1})
        await asyncio.sleep(0.5)
        assert len(asyncio.all_tasks()) - before <= 2  # the call's, and the writer's
        await socket.until("result", id="same")
        for _ in range(REPEATS):
            socket.say(type="call", id="same", op="echo", params={"wait_s": 1})
        await asyncio.sleep(5)
        assert effects == {"echo": 1}
        assert len(asyncio.all_tasks()) - before <= 1

    monkeypatch.setattr(houses, "FakeDesk", Desk)
    housed(test, limits=PATIENT)


def test_a_thousand_times_the_same_channel_start_one_task() -> None:
    async def test(house: House, world: World) -> None:
        world.gates["slow"] = asyncio.Event()
        socket = await house.enter()
        for _ in range(REPEATS):
            socket.say(
                type="channel.open", id="same", channel=1, kind="execute", params={"executor": "os", "action": "slow"}
            )
        await socket.until("task.started")
        await asyncio.sleep(1)
        world.gates["slow"].set()
        await socket.until("channel.closed", channel=1)
        await asyncio.sleep(1)
        assert [action for action, _ in world.executed] == ["slow"]
        assert len(socket.of("task.started")) == len(socket.of("channel.closed")) == 1

    housed(test, limits=PATIENT)


class DeafWorld(World):
    """Its executors take no notice of a cancellation, and have a result a second later."""

    async def execute(
        self, task_id: str, action: str, parameters: dict[str, Any], context: CallContext
    ) -> AsyncGenerator[TaskEvent, None]:
        self.executed.append((action, parameters))
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            self.stopped.append(action)
            await asyncio.sleep(1)
        yield TaskResult("ok", {"did": action})


def test_a_result_that_comes_after_the_end_reopens_nothing() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        opening = {"type": "channel.open", "id": "late", "kind": "execute", "channel": 1}
        socket.say(**opening, params={"executor": "os", "action": "slow"})
        await socket.until("task.started")
        socket.say(type="channel.cancel", channel=1)
        await socket.until("channel.closed", channel=1)
        told = len(socket.texts)
        await asyncio.sleep(5)
        assert world.stopped == ["slow"]
        assert [message["type"] for message in socket.texts[told:] if "channel" in message] == []
        socket.say(**opening, params={"executor": "os", "action": "slow"})
        await asyncio.sleep(5)
        assert len(world.executed) == 1
        assert len(socket.of("channel.closed")) == 1

    housed(test, DeafWorld())
