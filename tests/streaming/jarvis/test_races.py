"""Two sockets resume one session at once: one of them goes on, the other is told to come again, and nothing is lost."""

from __future__ import annotations

import asyncio
import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import pytest

from streaming.jarvis.entry import RefusedError, enter
from streaming.jarvis.live import OVERTAKEN
from streaming.jarvis.registry import CLAIM_S, Resume
from streaming.protocol.close_codes import CloseCode
from tests.streaming.jarvis.test_moving import replicas
from tests.support.house import USER, FakeSocket

if TYPE_CHECKING:
    from tests.support.house import House
    from tests.support.roamer import Roamer
    from tests.support.world import World

How = Literal["url", "message"]


@dataclass(frozen=True)
class Comer:
    """A socket that comes `at_ms`. `upgrade_ms`: from its claim to its session."""

    to: int
    how: How
    at_ms: float
    upgrade_ms: float


async def come(comer: Comer, houses: tuple[House, House], token: str, last_seq: int) -> FakeSocket:
    house = houses[comer.to]
    asked = Resume(token, last_seq)
    in_url = asked if comer.how == "url" else None
    socket = FakeSocket(house.group)
    await asyncio.sleep(comer.at_ms / 1000)
    found = await house.sessions.claim("s1", USER, in_url)
    await asyncio.sleep(comer.upgrade_ms / 1000)
    try:
        socket.line = enter(house.sessions, "s1", USER, socket, in_url, found)
    except RefusedError as refused:
        socket.end(refused.close_code, refused.message)
        return socket
    socket.wake()
    if comer.how == "message":
        socket.say(type="session.resume", resume_token=token, last_seq=last_seq)
    return socket


def race(comers: tuple[Comer, Comer], news_ms: float, *, killed: bool) -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        assert first.store is not None
        first.store.news_s = news_ms / 1000
        sweepers = [house.group.create_task(house.sessions.sweep()) for house in (first, second)]
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        token, last_seq = roamer.client.resume_token or "", roamer.client.last_seq
        if killed:
            await roamer.crash()
        else:
            roamer.cut()
        houses = (first, second)
        coming = [first.group.create_task(come(comer, houses, token, last_seq)) for comer in comers]
        sockets = [await task for task in coming]
        await asyncio.sleep(1)
        for socket in sockets:
            if socket.ended is None:
                socket.say(type="ping", t=1)  # its answer waits for the record, if the session is another's meanwhile
        await asyncio.sleep(4)
        told = [
            ready["resume_error"]
            for socket in sockets
            for ready in socket.of("session.ready", recovered=False)
            if "resume_error" in ready
        ]
        assert told == []
        ended = [socket.ended[0] for socket in sockets if socket.ended is not None]
        assert len(ended) == 1
        assert ended[0] in {CloseCode.SERVICE_RESTART, CloseCode.SESSION_TAKEN_OVER}
        winner = next(socket for socket in sockets if socket.ended is None)
        assert winner.of("session.resumed")
        again = await come(Comer(1, "url", 0, 0), houses, token, last_seq)
        await again.until("session.resumed")
        for sweeper in sweepers:
            sweeper.cancel()

    replicas(test)


@pytest.mark.parametrize("news_ms", [0.5, 20])
@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed"])
def test_of_two_resumes_at_once_one_goes_on(news_ms: float, *, killed: bool) -> None:
    ways: tuple[How, How] = ("url", "message")
    wrong: list[str] = []
    for to, other in itertools.product((0, 1), repeat=2):
        if killed and 0 in {to, other}:
            continue
        for how, rival, later_ms, upgrade_ms, rivals_ms in itertools.product(
            ways, ways, (0, 0.6, 3), (0, 1, 4), (0, 1, 4)
        ):
            comers = (Comer(to, how, 0, upgrade_ms), Comer(other, rival, later_ms, rivals_ms))
            try:
                race(comers, news_ms, killed=killed)
            except BaseExceptionGroup as group:
                wrong.append(f"{comers}: {group.exceptions[0]!r}")
    assert not wrong, "\n".join(wrong)


def test_a_resume_with_an_old_token_that_is_still_being_looked_up_stops_nobody() -> None:
    async def test(roamer: Roamer, first: House, _second: House, _world: World) -> None:
        assert first.store is not None
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        token, last_seq = roamer.client.resume_token or "", roamer.client.last_seq
        roamer.cut()
        first.store.slow_s = 1.0
        stale = first.group.create_task(first.enter(resume=Resume("of an epoch before", 0)))
        await asyncio.sleep(0)
        first.store.slow_s = 0.001
        own = await first.enter(resume=Resume(token, last_seq))
        await own.until("session.resumed")
        await stale

    replicas(test)


def test_a_claim_that_nobody_used_is_forgotten() -> None:
    async def test(roamer: Roamer, first: House, second: House, _world: World) -> None:
        sweeper = first.group.create_task(second.sessions.sweep())
        await roamer.connect(first)
        roamer.call("echo", n=1)
        await roamer.until("result")
        token = roamer.client.resume_token or ""
        await roamer.crash()
        late = first.group.create_task(come(Comer(1, "url", 0, (CLAIM_S + 2) * 1000), (first, second), token, 0))
        await asyncio.sleep(CLAIM_S + 1.5)
        assert not second.sessions._claims
        assert (await late).ended == OVERTAKEN
        sweeper.cancel()

    replicas(test)
