"""A session without a network: JSON and frames in and out, on virtual time."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.jarvis.registry import ForbiddenError, Resume
from streaming.ports import Identity, Plan, Step, Verdict
from streaming.protocol.limits import Limits
from tests.support.house import USER, FakeSocket, House, housed
from tests.support.world import TRACEPARENT, ScriptedSynthesis

if TYPE_CHECKING:
    from streaming.ports import CallContext, SynthesisConfig
    from tests.support.world import World


SPEECH_CALLS = 25  # 24 today; some sixty when each frame went through a reader, the queue and the writer
# 11.1 today, 4 of them for credit, which the scripted recogniser gives back for each frame; 39 when each frame looked for
# something to write.
WALK_CALLS = 12


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


def test_a_socket_s_trace_goes_along_to_the_services(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(house: House, world: World) -> None:
        traces: list[str] = []

        def synthesize(_config: SynthesisConfig, context: CallContext) -> ScriptedSynthesis:
            traces.append(context.traceparent)
            return ScriptedSynthesis(None)

        monkeypatch.setattr(world, "synthesize", synthesize)
        socket = await house.enter()
        socket.traceparent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one"})
        await socket.until("channel.closed", channel=3)
        assert ("channel", socket.traceparent) in world.spans
        assert traces == [TRACEPARENT]

    housed(test)


def test_a_bug_in_building_a_lane_costs_its_channel(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        with monkeypatch.context() as broken:
            broken.setattr("streaming.jarvis.channels.lane_of", lambda *_given: {}["secret"])  # type: ignore[index]
            socket.say(type="channel.open", channel=1, kind="turn")
            closed = await socket.until("channel.closed", channel=1)
        assert (closed["code"], closed["message"]) == ("INTERNAL", "something went wrong in the gateway")
        socket.say(type="channel.open", channel=3, kind="tts", params={"text": "one"})
        assert (await socket.until("channel.closed", channel=3))["status"] == "ok"

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


async def taken_over(house: House) -> tuple[FakeSocket, str, FakeSocket]:
    """A socket with a microphone open, its resume token, and another that has just come for the same session."""
    first = await house.enter()
    token = first.of("session.ready")[0]["resume_token"]
    first.say(type="channel.open", channel=1, kind="stt")
    await first.until("channel.opened")
    return first, token, await house.enter()


def test_resume_as_the_first_message_takes_the_session_over() -> None:
    async def test(house: House, world: World) -> None:
        first, token, second = await taken_over(house)
        assert first.ended == (4510, "another socket took the session")
        assert second.of("session.ready")[0]["epoch"] != first.of("session.ready")[0]["epoch"]
        second.say(type="session.resume", resume_token=token, last_seq=1)
        await second.until("session.resumed")
        world.recognitions[0].say("still here")
        await second.until("stt.final", channel=1)

    housed(test)


@pytest.mark.parametrize(
    "first_message",
    [
        {"type": "call", "id": "c1", "op": "echo", "params": {}},
        {"type": "ping", "t": 1},
        {"type": "no such command"},
        None,  # a frame
    ],
)
def test_any_other_first_message_lets_the_old_work_go(first_message: dict[str, Any] | None) -> None:
    async def test(house: House, world: World) -> None:
        _first, token, second = await taken_over(house)
        if first_message is None:
            second.sound(1, 0, b"\0\0")
        else:
            second.say(**first_message)
        await asyncio.sleep(2)
        assert world.recognitions[0].cancelled
        assert len(list(house.sessions)) == 1
        second.say(type="session.resume", id="late", resume_token=token, last_seq=1)
        assert (await second.until("error", code="WRONG_STATE"))["message"].endswith("first message of a socket")

    housed(test)


@pytest.mark.parametrize("flaw", [{"last_seq": -1}, {"last_seq": "1"}, {"resume_token": 7}, {"extra": 1}])
def test_an_invalid_resume_is_answered_and_discards_nothing(flaw: dict[str, Any]) -> None:
    async def test(house: House, world: World) -> None:
        _first, token, second = await taken_over(house)
        second.say(**{"type": "session.resume", "id": "r1", "resume_token": token, "last_seq": 1, **flaw})
        error = await second.until("error", id="r1")
        assert error["code"] == "INVALID_FIELD"
        assert [text["type"] for text in second.texts] == ["session.ready", "session.ready", "error"]
        assert [ready.get("resume_error") for ready in second.of("session.ready")] == [None, "NOT_FOUND"]
        await asyncio.sleep(2)
        assert not world.recognitions[0].cancelled  # the old session can still be resumed, on another socket
        third = await house.enter(resume=Resume(token, 1))
        await third.until("session.resumed")

    housed(test)


def test_who_resumes_by_message_is_who_the_new_token_says() -> None:
    async def test(house: House, _world: World) -> None:
        expiring = replace(USER, expires_at=time.time() + 1)
        first = await house.enter(who=expiring)
        token = first.of("session.ready")[0]["resume_token"]
        await asyncio.sleep(2)
        assert first.ended == (4009, "the token has expired")
        second = await house.enter(who=replace(USER, roles=("user",)))
        second.say(type="session.resume", resume_token=token, last_seq=0)
        await second.until("session.resumed")
        await asyncio.sleep(2)
        assert second.ended is None
        assert second.line is not None
        assert second.line.live.lanes.identity.roles == ("user",)

    housed(test)


def test_a_call_that_fails_in_the_gateway_is_answered() -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        socket.say(type="call", id="c1", op="defect", params={})
        assert (await socket.until("error"))["code"] == "INTERNAL"
        socket.say(type="call", id="c2", op="echo", params={})
        await socket.until("result", id="c2")

    housed(test)


def test_a_resume_that_cannot_be_says_why() -> None:
    async def test(house: House, _world: World) -> None:
        first = await house.enter()
        token = first.of("session.ready")[0]["resume_token"]
        assert first.line is not None
        first.line.closed(for_good=False)
        wrong = await house.enter(resume=Resume("wrong", 0))
        assert wrong.of("session.ready")[0]["resume_error"] == "NOT_FOUND"
        # The client has left the socket before, and said nothing there
        again = await house.enter(resume=Resume(token, 0))
        assert again.of("session.resumed")
        assert again.line is not None
        again.line.closed(for_good=False)
        wrong = await house.enter(resume=Resume("wrong", 0))
        wrong.say(type="ping", t=1)
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


def test_the_sweep_and_the_end_of_the_gateway_may_close_a_session_at_once() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="stt")
        await socket.until("channel.opened")
        (live,) = house.sessions
        async with asyncio.TaskGroup() as group:
            for closer in ("sweep", "end"):
                group.create_task(live.close(), name=closer)
        await live.close()
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


@pytest.mark.parametrize(("waiting", "error"), [("x" * 400, "INCOMPLETE"), ("", "EXPIRED")])
def test_a_session_that_is_given_up_says_why(waiting: str, error: str) -> None:
    async def test(house: House, _world: World) -> None:
        socket = await house.enter()
        assert socket.line is not None
        token = socket.of("session.ready")[0]["resume_token"]
        socket.say(type="call", id="a", op="echo", params={"wait_s": 0.1, "x": waiting})
        socket.line.closed(for_good=False)
        await asyncio.sleep(0.2 if waiting else 5.8)  # before the next sweep, behind which nobody knows the token
        late = await house.enter(resume=Resume(token, 1))
        assert late.of("session.ready")[0]["resume_error"] == error

    housed(test, limits=Limits(resume_window_s=5.5, detached_queue_bytes=300))


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
