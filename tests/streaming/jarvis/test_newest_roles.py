"""A session's token is renewed: what a channel may do is what its user may do now, not what the user could when it was opened."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from streaming.jarvis.registry import SWEEP_S, Resume
from streaming.ports import Verdict
from streaming.residents import Departure
from tests.support.house import USER, FakeSocket, FakeStore, House, housed
from tests.support.talk import plan, step
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

OPERATOR = replace(USER, roles=("operator", "user"))
PLAIN = replace(USER, roles=("user",))
MICROPHONE = {"sample_rate": 16_000, "reply": "text"}


def operators_only(**more: Any) -> World:
    return World(plans={"go": plan(step("s1", "ls"))}, needed_role="operator", **more)


async def by_refresh(_house: House, socket: FakeSocket) -> FakeSocket:
    socket.say(type="auth.refresh", id="a", token="u1:user")
    await socket.until("auth.ok")
    return socket


async def by_resume(house: House, socket: FakeSocket) -> FakeSocket:
    token = socket.of("session.ready")[0]["resume_token"]
    assert socket.line is not None
    socket.line.closed(for_good=False)
    fresh = await house.enter(who=PLAIN, resume=Resume(token, max(socket.order)))
    await fresh.until("session.resumed")
    return fresh


@pytest.mark.parametrize("lose_the_role", [by_refresh, by_resume])
def test_an_open_microphone_runs_nothing_for_a_role_that_is_gone(
    lose_the_role: Callable[[House, FakeSocket], Awaitable[FakeSocket]],
) -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter(who=OPERATOR)
        socket.say(type="channel.open", channel=1, kind="turn", params=MICROPHONE)
        await socket.until("channel.opened")
        world.recognitions[0].say("go")
        assert (await socket.until("task.result"))["status"] == "ok"
        await socket.until("turn.done")
        socket = await lose_the_role(house, socket)
        world.recognitions[0].say("go")
        assert (await socket.until("task.result", count=len(socket.of("task.result")) + 1))["status"] == "denied"
        assert len(world.executed) == 1

    housed(test, operators_only())


def test_a_role_that_is_new_counts_for_an_open_microphone_too() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter(who=PLAIN)
        socket.say(type="channel.open", channel=1, kind="turn", params=MICROPHONE)
        await socket.until("channel.opened")
        socket.say(type="auth.refresh", id="a", token="u1:operator")
        await socket.until("auth.ok")
        world.recognitions[0].say("go")
        assert (await socket.until("task.result"))["status"] == "ok"

    housed(test, operators_only())


def test_a_role_lost_during_the_question_runs_nothing_however_it_is_answered() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter(who=OPERATOR)
        params = {"executor": "os", "action": "rm", "parameters": {}}
        socket.say(type="channel.open", channel=1, kind="execute", params=params)
        await socket.until("task.confirmation_required")
        await by_refresh(house, socket)
        world.questions["q1"].set_result(True)
        assert (await socket.until("channel.closed"))["status"] == "error"
        assert (socket.of("task.result")[0]["status"], world.executed) == ("denied", [])

    housed(test, operators_only(verdicts={"rm": Verdict("confirm", "medium", ())}))


@pytest.mark.parametrize("lose_the_role", [by_refresh, by_resume])
def test_an_observer_who_is_no_admin_any_more_sees_nothing_more(
    lose_the_role: Callable[[House, FakeSocket], Awaitable[FakeSocket]],
) -> None:
    async def test(house: House, _world: World) -> None:
        stranger = await house.enter("kitchen", replace(USER, user_id="bob", roles=("user",)))
        socket = await house.enter()
        socket.say(type="channel.open", channel=1, kind="observe", params={"session_id": "kitchen"})
        await socket.until("channel.opened")
        stranger.say(type="ping", t=1)
        await socket.until("observe.event", count=2)
        socket = await lose_the_role(house, socket)
        seen = len(socket.of("observe.event"))
        stranger.say(type="ping", t=2)
        assert (await socket.until("channel.closed"))["code"] == "NOT_FOUND"
        assert len(socket.of("observe.event")) == seen
        assert stranger.line is not None
        assert stranger.line.live.taps == []

    housed(test)


def test_an_observer_of_a_session_of_its_own_goes_on_with_fewer_roles() -> None:
    async def test(house: House, _world: World) -> None:
        own, socket = await house.enter("kitchen"), await house.enter()
        socket.say(type="channel.open", channel=1, kind="observe", params={"session_id": "kitchen"})
        await socket.until("channel.opened")
        await by_refresh(house, socket)
        own.say(type="ping", t=1)  # ends the look, which begins anew
        own.say(type="channel.open", channel=1, kind="tts", params={"text": "one"})
        await own.until("channel.closed")
        while not socket.of("observe.event"):
            own.say(type="ping", t=2)
            await own.until("pong", count=len(own.of("pong")) + 1)
        assert socket.of("channel.closed") == []

    housed(test)


def test_a_session_continued_at_another_replica_has_the_roles_of_its_new_token() -> None:
    store = FakeStore()

    async def test(house: House, world: World) -> None:
        first = await house.enter(who=OPERATOR)
        token = (await first.until("session.ready"))["resume_token"]
        first.say(type="channel.open", channel=1, kind="turn", params=MICROPHONE)
        await first.until("channel.opened")
        assert house.link is not None
        house.link.cut()
        second = House(world, house.group, house.sessions._limits, store)
        socket = await second.enter(who=PLAIN, resume=Resume(token, max(first.order)))
        await socket.until("session.resumed")
        world.recognitions[-1].say("go")
        assert (await socket.until("task.result"))["status"] == "denied"
        await second.sessions.close()

    housed(test, operators_only(), store=store)


# --- signed out ---


def test_a_session_without_a_socket_ends_with_its_token() -> None:
    async def test(house: House, world: World) -> None:
        socket = await house.enter(who=OPERATOR)
        socket.say(type="channel.open", channel=1, kind="turn", params=MICROPHONE)
        await socket.until("channel.opened")
        token, line = socket.of("session.ready")[0]["resume_token"], socket.line
        assert line is not None
        line.closed(for_good=False)
        line.live.dismiss(Departure.SIGNED_OUT)
        again = await house.enter(who=PLAIN, resume=Resume(token, max(socket.order)))
        assert again.of("session.ready")[0]["resume_error"] == "EXPIRED"
        await asyncio.sleep(SWEEP_S / 10)  # at once: its lanes must not work on until it is swept away
        assert world.recognitions[0].cancelled
        assert not line.live.lanes.busy

    housed(test)


@pytest.mark.parametrize("name", ["token", "family"])
def test_a_session_that_only_the_store_has_ends_with_its_token(name: str) -> None:
    store = FakeStore()

    async def test(house: House, world: World) -> None:
        socket = await house.enter(who=replace(PLAIN, token_id="token", family="family"))
        token = (await socket.until("session.ready"))["resume_token"]
        assert house.link is not None
        house.link.cut()  # its replica is gone, and hears of no sign-out
        store.signed_out.add(name)
        second = House(world, house.group, house.sessions._limits, store)
        again = await second.enter(who=replace(PLAIN, token_id="other"), resume=Resume(token, 0))
        assert (await again.until("session.ready"))["resume_error"] == "NOT_FOUND"
        await second.sessions.close()

    housed(test, store=store)


def test_the_record_follows_the_token() -> None:
    store = FakeStore()

    async def test(house: House, _world: World) -> None:
        socket = await house.enter(who=replace(PLAIN, token_id="old", family="f"))
        await socket.until("session.ready")
        (record,) = store.records.values()
        assert record["signed_out_by"] == '["old","f"]'
        assert socket.line is not None
        socket.line.live.become(replace(PLAIN, token_id="new"))
        socket.say(type="call", id="c", op="echo", params={})
        await socket.until("result")
        (record,) = store.records.values()
        assert record["signed_out_by"] == '["new"]'

    housed(test, store=store)
