"""Resuming a session of OpenAI's dialect: nothing is missed or repeated, and only the owner can do it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from streaming.openai.event_queue import KEPT_BYTES
from streaming.openai.live import MAX_WAITING_BYTES
from streaming.openai.registry import RealtimeSessions
from streaming.openai.settings import Voices
from streaming.ports import Identity, LaneServices
from streaming.residents import Departure, Residents
from streaming.rfc6455 import ABNORMAL
from tests.support import virtual_time
from tests.support.openai_client import LONG, USER, Client
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from streaming.openai.live import RealtimeSession

RESUME_S = 60.0


class House:
    """The sessions of one gateway."""

    def __init__(self, group: asyncio.TaskGroup) -> None:
        self.world = World()
        lent: Any = self.world
        self.residents = Residents()
        provided = LaneServices(self.world.services(), lent, lent, lent, lent, lent)
        self.sessions = RealtimeSessions(provided, group, self.residents, resume_s=RESUME_S)
        self.live: RealtimeSession | None = None

    def come(self) -> Client:
        client = Client(self.world)
        client.live = self.live = self.sessions.begin(USER, client, Voices(("hibari",)), model="", transcription=False)
        client.wake()
        return client

    def cut(self, client: Client, code: int = ABNORMAL) -> None:
        assert self.live is not None
        client.live = None
        self.sessions.left(self.live, client, code)

    def come_back(self, last_event_id: str, identity: Identity = USER) -> Client | None:
        assert self.live is not None
        live = self.sessions.waiting(self.live.session_id, last_event_id, identity)
        if live is None:
            return None
        client = Client(self.world)
        client.order = None  # it gets some events a second time
        client.live = live
        self.sessions.resume(live, client, identity, last_event_id)
        return client


def housed(test: Callable[[House], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.TaskGroup() as group:
            house = House(group)
            await test(house)
            await house.sessions.close()

    virtual_time.run(run())


def ids(*clients: Client) -> list[str]:
    return [event["event_id"] for client in clients for event in client.events]


def test_the_answer_that_was_given_meanwhile_is_told_whole() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        first.type("hello")
        house.cut(first)
        second = house.come_back(first.events[-1]["event_id"])
        assert second is not None
        await second.until("response.done")
        assert len(set(ids(first, second))) == len(ids(first, second))
        numbers = [int(event_id.rpartition("_")[2]) for event_id in ids(first, second)]
        assert numbers == list(range(1, len(numbers) + 1))
        assert not second.of("session.created")

    housed(test)


def test_what_was_sent_but_not_received_is_sent_again_as_it_was() -> None:
    async def test(house: House) -> None:
        first = house.come()
        first.type("hello")
        await first.until("response.done")
        house.cut(first)
        second = house.come_back(first.events[2]["event_id"])
        assert second is not None
        await second.until("response.done")
        assert second.events == first.events[3:]

    housed(test)


def test_speech_is_not_played_to_nobody() -> None:
    async def test(house: House) -> None:
        first = house.come()
        first.type(LONG)
        await first.until("response.output_audio.delta")
        house.cut(first)
        await asyncio.sleep(RESUME_S - 1)
        second = house.come_back(first.events[-1]["event_id"])
        assert second is not None
        done = await second.until("response.done")
        assert done["response"]["status"] == "completed"
        assert len(first.of("response.output_audio.delta") + second.of("response.output_audio.delta")) > 10

    housed(test)


def test_a_sign_out_ends_it_while_it_waits() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        house.cut(first)
        assert house.live is not None
        house.live.dismiss(Departure.SIGNED_OUT)
        assert house.come_back(first.events[-1]["event_id"]) is None
        await asyncio.sleep(0.1)
        assert len(house.residents) == 0

    housed(test)


def test_it_waits_so_long_and_no_longer() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        house.cut(first)
        await asyncio.sleep(RESUME_S - 1)
        assert len(house.residents) == 1
        await asyncio.sleep(2)
        assert len(house.residents) == 0
        assert house.come_back(first.events[-1]["event_id"]) is None

    housed(test)


def test_a_client_that_says_goodbye_has_done() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        house.cut(first, 1000)
        await asyncio.sleep(0.1)
        assert len(house.residents) == 0

    housed(test)


def test_nobody_else_comes_back_to_it() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        house.cut(first)
        assert house.come_back(first.events[-1]["event_id"], Identity("u2", "eve", ("admin",))) is None
        assert house.come_back(first.events[-1]["event_id"]) is not None

    housed(test)


def test_an_event_that_was_never_sent_is_nobodys_last() -> None:
    async def test(house: House) -> None:
        first = house.come()
        last = (await first.until("session.created"))["event_id"]
        house.cut(first)
        prefix = last.rpartition("_")[0]
        for wrong in ("", "event_", f"{prefix}_2", f"{prefix}_-1", f"{prefix}_²", f"{prefix}_{'9' * 5000}", "x_1"):
            assert house.come_back(wrong) is None, wrong
        assert house.come_back(last) is not None

    housed(test)


def test_what_is_no_longer_kept_cannot_be_gone_on_from() -> None:
    async def test(house: House) -> None:
        first = house.come()
        created = (await first.until("session.created"))["event_id"]
        for _ in range(KEPT_BYTES // 100_000 + 1):
            first.update(instructions="x" * 100_000)
            await first.until("session.updated")
        house.cut(first)
        assert house.come_back(created) is None
        assert house.come_back(first.events[-1]["event_id"]) is not None

    housed(test)


def test_the_newer_socket_takes_over_from_one_that_seems_alive() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        second = house.come_back(first.events[-1]["event_id"])
        assert second is not None
        assert first.ended == 1008
        house.cut(first, 1008)
        second.type("hello")
        await second.until("response.done")

    housed(test)


def test_signing_out_ends_what_a_session_without_a_socket_does() -> None:
    async def test(house: House) -> None:
        first = house.come()
        first.type(LONG)
        await first.until("response.output_audio.delta")
        house.cut(first)
        assert house.live is not None
        house.live.dismiss(Departure.SIGNED_OUT)
        await asyncio.sleep(0.1)
        assert list(house.residents) == []
        assert house.live.lanes.lanes() == []

    housed(test)


def test_a_second_cut_before_anything_was_sent_again() -> None:
    async def test(house: House) -> None:
        first = house.come()
        await first.until("session.created")
        for _ in range(KEPT_BYTES // 100_000 + 1):
            first.update(instructions="x" * 100_000)
            await first.until("session.updated")
        house.cut(first)
        oldest = first.events[-10]["event_id"]
        second = house.come_back(oldest)
        assert second is not None
        house.cut(second)
        third = house.come_back(first.events[-9]["event_id"])
        assert third is not None
        third.update(instructions="")
        while len(third.events) < 9:
            await third.until("session.updated")
        assert third.events[:8] == first.events[-8:]

    housed(test)


def test_a_session_gives_way_to_its_users_next_ones() -> None:
    async def test(house: House) -> None:
        client = house.come()
        await client.until("session.created")
        last = client.events[-1]["event_id"]
        house.cut(client)
        assert house.live is not None
        house.sessions.give_up(house.live)
        await asyncio.sleep(0.1)
        assert house.come_back(last) is None
        assert list(house.residents) == []

    housed(test)


def test_who_does_not_read_has_no_session_for_long() -> None:
    """Answers to nonsense wait like any event; the audio of replies is bounded by its lanes already."""

    async def test(house: House) -> None:
        client = house.come()
        await client.until("session.created")
        live, last = house.live, client.events[-1]["event_id"]
        assert live is not None
        house.cut(client)
        for number in range(MAX_WAITING_BYTES // 100):
            live.receive("nonsense", arrived_at=number / 50)  # no flood
        assert live.lost
        assert house.come_back(last) is None

    housed(test)
