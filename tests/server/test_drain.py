"""A draining gateway releases each session as soon as it is ready."""

from __future__ import annotations

import asyncio
from collections import Counter
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from server.drain import LOOK_S, PAUSE_S, REFUSE_S, drain
from tests.support import virtual_time

if TYPE_CHECKING:
    from server.gateway import Gateway
    from streaming.residents import Departure


class Guest:
    """A resident whose record is saved when `saved` is set."""

    connected = True
    busy = must_finish = False

    def __init__(self) -> None:
        self.saved = asyncio.Event()
        self.left = asyncio.Event()
        self.channels = Counter(turn=2)

    def announce_drain(self, reconnect_after_ms: int) -> None:
        assert reconnect_after_ms >= 0

    async def hand_over(self) -> None:
        await self.saved.wait()

    def leave(self, _reason: Departure) -> None:
        self.left.set()


async def test_a_session_does_not_wait_for_the_record_of_another() -> None:
    slow, quick = Guest(), Guest()
    gateway = SimpleNamespace(draining=False, residents=[slow, quick], requests_running=0)
    async with asyncio.TaskGroup() as group:
        group.create_task(drain(cast("Gateway", gateway), 60.0), name="drain")
        quick.saved.set()
        await quick.left.wait()
        assert not slow.left.is_set()
        slow.saved.set()
    assert slow.left.is_set()


async def test_a_session_that_begins_on_an_open_socket_during_the_drain_leaves_too() -> None:
    gateway = SimpleNamespace(draining=False, residents=[], requests_running=1)
    async with asyncio.TaskGroup() as group:
        group.create_task(drain(cast("Gateway", gateway), 60.0), name="drain")
        await asyncio.sleep(0)
        late = Guest()
        late.saved.set()
        gateway.residents.append(late)
        await late.left.wait()
        gateway.requests_running = 0
    assert late.left.is_set()


async def test_a_session_that_pauses_later_does_not_wait_for_the_record_of_an_earlier_one() -> None:
    slow, later = Guest(), Guest()
    later.busy = True
    later.saved.set()
    gateway = SimpleNamespace(draining=False, residents=[slow, later], requests_running=0)
    async with asyncio.TaskGroup() as group:
        group.create_task(drain(cast("Gateway", gateway), 60.0), name="drain")
        await asyncio.sleep(0.05)
        later.busy = False
        await later.left.wait()
        assert not slow.left.is_set()
        slow.saved.set()
    assert slow.left.is_set()


class Industrious(Guest):
    """Always busy. Of each LOOK_S, it pauses for 40 ms before it begins the next work that must be finished here."""

    busy = True

    @property
    def must_finish(self) -> bool:  # type: ignore[override] # of a plain guest it is a constant
        return not 0.04 <= asyncio.get_running_loop().time() % LOOK_S < 0.08


def test_a_session_that_works_on_and_on_leaves_in_a_short_pause() -> None:
    async def body() -> float:
        guest = Industrious()
        guest.saved.set()
        gateway = SimpleNamespace(draining=False, residents=[guest], requests_running=0)
        await drain(cast("Gateway", gateway), 30.0)
        assert guest.left.is_set()
        return asyncio.get_running_loop().time()

    assert virtual_time.run(body()) < PAUSE_S + 2 * LOOK_S


def test_a_long_drain_says_once_what_it_waits_for() -> None:
    async def body() -> list[object]:
        guest = Guest()
        guest.must_finish = guest.busy = True
        guest.saved.set()
        async with asyncio.TaskGroup() as group:
            upload = group.create_task(asyncio.sleep(60.0), name="/v1/audio/transcriptions")
            gateway = SimpleNamespace(draining=False, residents=[guest], requests={upload}, requests_running=1)
            with capture_logs() as logs:
                await drain(cast("Gateway", gateway), 30.0)
            upload.cancel()
        return [entry for entry in logs if entry["event"] == "still draining"]

    told = {"sessions": 1, "channels": {"turn": 2}, "requests": {"/v1/audio/transcriptions": 1}}
    assert virtual_time.run(body()) == [{"event": "still draining", "log_level": "info", **told}]


@pytest.mark.parametrize("lasts_s", [1.0, 40.0])
def test_a_drain_that_only_waits_for_requests_takes_no_more_connections(lasts_s: float) -> None:
    async def body() -> float:
        refused_at: list[float] = []
        guest = Guest()
        guest.saved.set()
        guest.must_finish = guest.busy = True
        loop = asyncio.get_running_loop()
        gateway = SimpleNamespace(draining=False, residents=[guest], requests=set(), requests_running=1)
        gateway.stop_listening = lambda: refused_at.append(loop.time())
        loop.call_later(lasts_s, lambda: setattr(guest, "must_finish", False))
        await drain(cast("Gateway", gateway), 50.0)
        (at,) = refused_at
        return at

    assert max(lasts_s, REFUSE_S) <= virtual_time.run(body()) < max(lasts_s, REFUSE_S) + 2 * LOOK_S
