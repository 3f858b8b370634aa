"""A session on the wire, without a wire: JSON and frames in, JSON and frames out, on virtual time."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from server.observing import ReplicaObservation
from server.state import LocalState
from streaming.ports import CallError, Identity, LaneServices, Plan, Step, Verdict
from streaming.protocol import frame
from streaming.protocol.limits import Limits
from streaming.registry import ForbiddenError, Line, Resume, Sessions
from tests.support import virtual_time
from tests.support.world import World, broken

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streaming.ports import CallContext

USER = Identity("u1", "ada", ("admin",))


class FakeDesk:
    """The gateway around the sessions."""

    async def call(self, op: str, params: dict[str, Any], identity: Identity, context: CallContext) -> Any:
        if op == "broken":
            raise broken("memory")
        if op != "echo":
            raise CallError("NOT_FOUND", f"no operation {op}")
        await asyncio.sleep(params.get("wait_s", 0))
        return {"params": params, "user": identity.user_id, "session": context.session_id}

    async def identify(self, token: str) -> Identity:
        if token == "bad":
            raise CallError("UNAUTHENTICATED", "no such token")
        return replace(USER, user_id=token, expires_at=None)

    def service_states(self) -> dict[str, Any]:
        return {"stt": "up"}


class FakeSocket:
    """Takes what the session has to say whenever it is woken."""

    def __init__(self) -> None:
        self.texts: list[dict[str, Any]] = []
        self.frames: list[frame.Frame] = []
        self.order: list[int] = []  # sequence numbers as they came
        self.ended: tuple[int, str] | None = None
        self.line: Line | None = None
        self.reading = True

    def wake(self) -> None:
        asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        while self.reading and self.line is not None and self.ended is None and (batch := self.line.data_to_send()):
            for item in batch:
                self._take(item)

    def _take(self, item: str | bytes) -> None:
        if isinstance(item, bytes):
            self.frames.append(frame.decode(item))
            self.order.append(self.frames[-1].seq)
            return
        message = json.loads(item)
        self.texts.append(message)
        if "seq" in message and message["type"] != "ack":
            self.order.append(message["seq"])

    def end(self, code: int, reason: str) -> None:
        self.ended = (code, reason)

    def say(self, **message: Any) -> None:
        assert self.line is not None
        self.line.feed_text(json.dumps(message))

    def sound(self, channel: int, seq: int, payload: bytes) -> None:
        assert self.line is not None
        self.line.feed_binary(frame.HEADER.pack(1, 0, channel, 0, seq, 0) + payload)

    def of(self, kind: str, **fields: Any) -> list[dict[str, Any]]:
        return [m for m in self.texts if m["type"] == kind and all(m.get(k) == v for k, v in fields.items())]

    async def until(self, kind: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        async with asyncio.timeout(600):
            while len(self.of(kind, **fields)) < count:
                await asyncio.sleep(0.01)
        return self.of(kind, **fields)[count - 1]


class House:
    """A registry with scripted services."""

    def __init__(self, world: World, group: asyncio.TaskGroup, limits: Limits) -> None:
        lent: Any = world
        observation = ReplicaObservation(LocalState(), None, group)
        provided = LaneServices(world.services(), lent, lent, lent, lent, observation)
        self.sessions = observation.sessions = Sessions(limits, provided, FakeDesk(), group)

    async def enter(self, session_id: str = "s1", who: Identity = USER, resume: Resume | None = None) -> FakeSocket:
        socket = FakeSocket()
        socket.line = self.sessions.enter(session_id, who, socket, resume)
        socket.wake()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return socket


def housed(
    test: Callable[[House, World], Awaitable[None]], world: World | None = None, limits: Limits | None = None
) -> None:
    async def body() -> None:
        nonlocal world
        world = world or World()
        async with asyncio.TaskGroup() as group:
            house = House(world, group, limits or Limits())
            sweeper = group.create_task(house.sessions.sweep())
            await test(house, world)
            sweeper.cancel()
            await house.sessions.close()

    virtual_time.run(body())


def test_a_socket_is_greeted_and_may_call() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        ready = socket.of("session.ready")[0]
        assert (ready["session_id"], ready["recovered"], ready["user"]["user_id"]) == ("s1", False, "u1")
        assert ready["services"] == {"stt": "up"}
        socket.say(type="call", id="a", op="echo", params={"x": 1})
        socket.say(type="call", id="b", op="nothing")
        socket.say(type="call", id="c", op="broken")
        result = await socket.until("result", id="a")
        assert result["data"] == {"params": {"x": 1}, "user": "u1", "session": "s1"}
        assert (await socket.until("error", id="b"))["code"] == "NOT_FOUND"
        assert (await socket.until("error", id="c"))["retryable"]

    housed(test)


def test_four_things_at_once_on_one_socket() -> None:
    async def test(house: House, world: World) -> None:
        world.gates["slow"] = asyncio.Event()
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt")
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one two three"})
        socket.say(type="channel.open", channel=5, kind="execute", params={"executor": "search", "action": "slow"})
        socket.say(type="channel.open", channel=7, kind="turn", params={"text": "hello", "reply": "text"})
        for number in range(10):
            socket.sound(1, number, b"\0" * 640)
        world.recognitions[0].say("hello world")
        await socket.until("stt.final", channel=1)
        await socket.until("channel.closed", channel=3)
        await socket.until("channel.closed", channel=7)
        assert not socket.of("channel.closed", channel=5)
        world.gates["slow"].set()
        assert (await socket.until("channel.closed", channel=5))["status"] == "ok"
        socket.say(type="channel.end", channel=1)
        await socket.until("channel.closed", channel=1)
        assert world.recognitions[0].heard == b"\0" * 6400
        assert sum(len(f.payload) for f in socket.frames) == 3 * 6400
        assert socket.order == list(range(1, len(socket.order) + 1))
        assert [len(socket.of("channel.closed", channel=c)) for c in (1, 3, 5, 7)] == [1, 1, 1, 1]

    housed(test)


def test_cancel_reaches_the_executor() -> None:
    async def test(house: House, world: World) -> None:
        world.gates["slow"] = asyncio.Event()
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="execute", params={"executor": "os", "action": "slow"})
        await socket.until("task.started")
        socket.say(type="channel.cancel", channel=1)
        assert (await socket.until("channel.closed"))["status"] == "cancelled"
        assert world.stopped == ["slow"]

    housed(test)


def test_a_confirmation_by_message() -> None:
    async def test(house: House, world: World) -> None:
        world.verdicts["rm"] = Verdict("confirm", "high", ("it deletes",))
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="execute", params={"executor": "os", "action": "rm"})
        asked = await socket.until("task.confirmation_required")
        socket.say(type="task.confirm", id="x", confirmation_id=asked["confirmation_id"], approve=True)
        await socket.until("result", id="x")
        assert (await socket.until("task.result"))["status"] == "ok"

    housed(test)


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ({"type": "commit", "channel": 3}, "WRONG_STATE"),
        ({"type": "tts.text", "channel": 1, "text": "x"}, "WRONG_STATE"),
        ({"type": "channel.end", "channel": 9}, "UNKNOWN_CHANNEL"),
        ({"type": "no.such"}, "UNKNOWN_TYPE"),
        ({"type": "call", "id": "a", "op": 5}, "INVALID_FIELD"),
    ],
)
def test_a_wrong_command_is_answered_and_nothing_else_happens(message: dict[str, Any], code: str) -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt")
        socket.say(type="channel.open", channel=3, kind="tts")
        socket.say(**message)
        assert (await socket.until("error"))["code"] == code
        assert socket.ended is None
        socket.say(type="call", id="z", op="echo")
        await socket.until("result", id="z")

    housed(test)


def test_bad_audio_closes_its_channel_only() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt")
        socket.say(type="channel.open", channel=3, kind="stt")
        socket.sound(1, 0, b"odd")
        closed = await socket.until("channel.closed", channel=1)
        assert (closed["status"], closed["code"]) == ("error", "INVALID_AUDIO")
        world.recognitions[1].say("fine")
        await socket.until("stt.final", channel=3)

    housed(test)


def test_another_users_session_is_closed_to_you() -> None:
    async def test(house: House, _world: World) -> None:
        await house.enter()
        with pytest.raises(ForbiddenError):
            await house.enter(who=Identity("u2", "eve", ("admin",)))

    housed(test)


def test_a_cut_socket_resumes_with_everything_it_missed() -> None:
    async def test(house: House, world: World) -> None:
        first = await house.enter()
        ready = first.of("session.ready")[0]
        first.say(type="channel.open", channel=1, kind="turn")
        world.recognitions[0].say("hello")
        await first.until("turn.reply")
        await asyncio.sleep(0.3)
        assert first.line is not None
        first.line.closed(for_good=False)
        seen = first.order[-1]
        await asyncio.sleep(0.5)
        second = await house.enter(resume=Resume(ready["resume_token"], seen))
        assert second.of("session.resumed")[0]["recovered"]
        await second.until("turn.done")
        assert first.order + second.order == list(range(1, len(first.order) + len(second.order) + 1))
        assert sum(len(f.payload) for f in first.frames + second.frames) == 6 * 6400

    housed(test)


def test_resume_as_the_first_message_takes_the_session_over() -> None:
    async def test(house: House, world: World) -> None:
        first = await house.enter()
        token = first.of("session.ready")[0]["resume_token"]
        first.say(type="channel.open", channel=1, kind="stt")
        await first.until("channel.opened")
        second = await house.enter()
        assert first.ended == (4510, "another socket took the session")
        assert second.of("session.ready")[0]["epoch"] != first.of("session.ready")[0]["epoch"]
        second.say(type="session.resume", resume_token=token, last_seq=1)
        await second.until("session.resumed")
        world.recognitions[0].say("still here")
        await second.until("stt.final", channel=1)

    housed(test)


def test_a_resume_that_cannot_be_says_why() -> None:
    async def test(house: House, _world: World) -> None:
        first = await house.enter()
        token = first.of("session.ready")[0]["resume_token"]
        assert first.line is not None
        first.line.closed(for_good=False)
        wrong = await house.enter(resume=Resume("wrong", 0))
        assert wrong.of("session.ready")[0]["resume_error"] == "NOT_FOUND"
        late = await house.enter(resume=Resume(token, 0))
        assert late.of("session.ready")[0]["resume_error"] in {"EXPIRED", "NOT_FOUND"}

    housed(test)


def test_nobody_comes_back_and_the_work_ends() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt")
        await socket.until("channel.opened")
        assert socket.line is not None
        socket.line.closed(for_good=False)
        await asyncio.sleep(Limits().resume_window_s + 5)
        assert list(house.sessions) == []
        assert world.recognitions[0].cancelled

    housed(test)


def test_a_client_that_stops_reading_is_cut_and_may_resume() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        token = socket.of("session.ready")[0]["resume_token"]
        socket.reading = False
        for number in range(100):
            socket.say(type="call", id=f"c{number}", op="echo", params={"x": "y" * 500})
            await asyncio.sleep(0.1)
            if socket.ended:
                break
        assert socket.ended is not None
        assert socket.ended[0] == 4002
        back = await house.enter(resume=Resume(token, 0))
        assert back.of("session.resumed")
        assert len(back.of("result")) >= 10

    housed(test, limits=Limits(queue_bytes=20_000, detached_queue_bytes=200_000))


def test_a_new_token_keeps_the_socket_and_another_users_does_not() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="auth.refresh", id="1", token="u1")
        await socket.until("auth.ok", id="1")
        socket.say(type="auth.refresh", id="2", token="u2")
        assert (await socket.until("error", id="2"))["code"] == "PERMISSION_DENIED"
        socket.say(type="auth.refresh", id="3", token="bad")
        assert (await socket.until("error", id="3"))["code"] == "UNAUTHENTICATED"

    housed(test)


def test_a_plan_in_a_turn_tells_its_steps() -> None:
    async def test(house: House, world: World) -> None:
        world.plans["go"] = Plan("p", "goal", (Step("s1", "os", "ls", {"args": []}, (), "list"),), "x")
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="turn", params={"text": "go", "reply": "text"})
        await socket.until("turn.done")
        assert socket.of("turn.plan")[0]["steps"][0]["action"] == "ls"
        assert socket.of("task.result")[0]["step_id"] == "s1"
        turn_ids = {m["turn_id"] for m in socket.texts if "turn_id" in m}
        assert len(turn_ids) == 1

    housed(test)
