"""FrameSockets that share the loop: turns, shares of it, and who is always behind."""

from __future__ import annotations

import asyncio
import sys
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING, Any

import pytest

from server.net.loop_turns import FIRST_MESSAGES, MOST_MESSAGES, SHARE_S, TURN_S, LoopTurns, Share
from server.net.websocket.frames import FrameReader
from server.net.websocket.limits import LONG_READ_BYTES, SocketLimits
from server.net.websocket.socket import FrameSocket
from tests.server.net.websocket.client import MESSAGE_BYTES, connected
from tests.server.net.websocket.client_frames import BINARY, CLOSE, PING, PONG, TEXT, frame
from tests.server.net.websocket.echo import Echo

if TYPE_CHECKING:
    from collections.abc import Callable

    from server.net.websocket.events import SocketEvent


async def test_others_have_a_turn_between_the_messages_of_a_crowded_read() -> None:
    sizes: list[int] = []
    turns: list[int] = []  # how often the loop came round

    class Batches(Echo):
        def on_messages(self, messages: list[Any]) -> None:
            sizes.append(len(messages))
            turns.append(0)
            asyncio.get_running_loop().call_soon(turns.append, 1)
            self.ws_connection.send(messages)  # type: ignore[union-attr]

    many = 3 * FIRST_MESSAGES + 5
    async with connected(handler=Batches) as client:
        client.send(b"".join(frame(BINARY, b"%d" % number) for number in range(many)), frame(PING, b"last"))
        got = [await client.frame() for _ in range(many + 1)]
    assert got == [(BINARY, b"%d" % number) for number in range(many)] + [(PONG, b"last")]
    assert max(sizes) <= FIRST_MESSAGES
    assert turns[:2] == [0, 1]


@pytest.mark.plain_python("replaces a method of a compiled class")
async def test_what_stands_in_one_read_is_not_parsed_in_one_go(monkeypatch: pytest.MonkeyPatch) -> None:
    """40,000 empty frames fit in one read: whoever counts them after parsing them all has spent the time already."""
    reader = FrameReader(MESSAGE_BYTES)
    assert len(reader.feed(frame(BINARY) * 40_000, FIRST_MESSAGES)) == FIRST_MESSAGES
    parsed: list[int] = []
    feed = FrameReader.feed

    def counted(self: FrameReader, data: bytes, most: int = sys.maxsize) -> list[SocketEvent]:
        parsed.append(len(events := feed(self, data, most)))
        return events

    monkeypatch.setattr(FrameReader, "feed", counted)
    async with connected() as client:
        client.send(frame(PONG) * 40_000)
        while (got := await client.frame())[0] != CLOSE:
            pass
    assert int.from_bytes(got[1][:2], "big") == 1008
    assert max(parsed) <= FIRST_MESSAGES


async def test_who_is_never_done_is_closed_at_last() -> None:
    """The turns of crowded sockets may be so rare that no rate is exceeded."""
    limits = SocketLimits(MESSAGE_BYTES, 1024 * 1024, frames_burst=10**9, pings=10**9, crowded_s=0.2)
    async with connected(limits=limits) as client:

        async def flood() -> None:
            with suppress(OSError):
                while True:
                    client.send(frame(PONG) * 20_000)
                    await client.writer.drain()

        async with asyncio.TaskGroup() as group:
            flooding = group.create_task(flood(), name="flood")
            while (got := await client.frame())[0] != CLOSE:
                pass
            flooding.cancel()
    assert (int.from_bytes(got[1][:2], "big"), got[1][2:]) == (1008, b"too many frames")


class LargeCrowd(LoopTurns):
    """A turn each 10 ms, of one socket of a million; all are dear or none."""

    crowd = 10**6

    def __init__(self, *, are_dear: bool) -> None:
        super().__init__()
        self._are_dear = are_dear

    def wait(self, go_on: Callable[[int], None], _share: Share) -> None:
        asyncio.get_running_loop().call_later(0.01, go_on, 1 if self._are_dear else 8)


@pytest.mark.plain_python("derives from a compiled class")
@pytest.mark.parametrize("dear", [False, True], ids=["who waits for many others is no flood", "dear ones end it"])
async def test_time_behind_in_a_crowd(dear: bool) -> None:
    """In dear turns one message is taken each: the client's own rate is never exceeded."""
    limits = SocketLimits(MESSAGE_BYTES, 1024 * 1024, crowded_s=0.03)

    class OneOfMany(Echo):
        def get_websocket_protocol(self) -> Any:
            return FrameSocket(self, self.limits, LargeCrowd(are_dear=dear))

        def on_message(self, message: str | bytes) -> None:
            until = time.perf_counter() + TURN_S / FIRST_MESSAGES
            while time.perf_counter() < until:
                pass
            super().on_message(message)

    async with connected(limits=limits, handler=OneOfMany) as client:
        began = time.monotonic()
        client.send(frame(BINARY, b"a") * 64)
        got = await client.frame()
        echoes = 1
        while got == (BINARY, b"a") and echoes < 64:
            got, echoes = await client.frame(), echoes + 1
        assert time.monotonic() - began > limits.crowded_s
        assert got == ((CLOSE, b"\x03\xf0too many frames") if dear else (BINARY, b"a"))


async def test_a_long_message_waits_for_its_turn() -> None:
    """It may cost milliseconds, and many may come in one iteration of the loop."""
    heard: list[int] = []

    class Watching(Echo):
        def on_message(self, message: str | bytes) -> None:
            heard.append(len(message))

    message = "a" * 2 * LONG_READ_BYTES
    async with connected(handler=Watching) as client:
        socket = client.handler.ws_connection
        socket.data_received(frame(TEXT, message.encode()) * 3)
        assert heard == []
        while not heard:
            await asyncio.sleep(0)
        assert len(heard) == 1
        while len(heard) < 3:
            await asyncio.sleep(0)


@pytest.mark.plain_python("derives from a compiled class")
async def test_dear_messages_are_taken_one_by_one_from_the_first_turn() -> None:
    """Nobody knows yet what they cost."""
    heard: list[float] = []
    taken: list[int] = []  # in each turn

    class Counted(LoopTurns):
        def wait(self, go_on: Callable[[int], None], share: Share) -> None:
            def counted(most: int) -> None:
                before = len(heard)
                go_on(most)
                taken.append(len(heard) - before)

            super().wait(counted, share)

    class Dear(Echo):
        def get_websocket_protocol(self) -> Any:
            return FrameSocket(self, self.limits, Counted())

        def on_message(self, message: str | bytes) -> None:
            super().on_message(message)
            heard.append(time.perf_counter())
            while time.perf_counter() < heard[-1] + 2 * TURN_S:
                pass

    async with connected(handler=Dear) as client:
        client.handler.ws_connection.data_received(frame(TEXT, b"a") * (FIRST_MESSAGES + 4))
        for _ in range(FIRST_MESSAGES + 4):
            await client.frame()
    assert taken == [1] * 4


@pytest.mark.plain_python("derives from a compiled class")
async def test_a_turn_ends_with_the_first_dear_message() -> None:
    """Behind cheap ones too, for which a turn has room for many."""
    heard: list[str | bytes] = []
    taken: list[int] = []  # dear ones in each turn

    class Roomy(LoopTurns):
        def wait(self, go_on: Callable[[int], None], share: Share) -> None:
            def counted(_most: int) -> None:
                before = heard.count("dear")
                go_on(MOST_MESSAGES)
                taken.append(heard.count("dear") - before)

            super().wait(counted, share)

    class Uneven(Echo):
        def get_websocket_protocol(self) -> Any:
            return FrameSocket(self, self.limits, Roomy())

        def on_message(self, message: str | bytes) -> None:
            super().on_message(message)
            heard.append(message)
            until = time.perf_counter() + (2 * TURN_S if message == "dear" else 0.0)
            while time.perf_counter() < until:
                pass

    async with connected(handler=Uneven) as client:
        sent = [b"cheap"] * (FIRST_MESSAGES + 2) + [b"dear"] * 4
        client.handler.ws_connection.data_received(b"".join(frame(TEXT, text) for text in sent))
        for text in sent:
            assert await client.frame() == (TEXT, text)
    assert max(taken) == 1
    assert sum(taken) == 4


async def test_who_has_spent_its_share_waits_for_its_turn_with_each_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages that come one by one are no crowd, however dear they are."""
    heard: list[str | bytes] = []

    class Dear(Echo):
        def on_message(self, message: str | bytes) -> None:
            heard.append(message)
            until = time.thread_time() + 0.6 * SHARE_S
            while time.thread_time() < until:
                pass

    async with connected(handler=Dear) as client:
        socket = client.handler.ws_connection
        now = time.monotonic()
        with monkeypatch.context() as still:  # on a busy machine, its share would come back meanwhile
            still.setattr(time, "monotonic", lambda: now)
            for number in range(2):
                socket.data_received(frame(TEXT, b"%d" % number + bytes(200)))
                assert len(heard) == number + 1
        socket.data_received(frame(TEXT, b"2" + bytes(200)))
        assert len(heard) == 2
        while len(heard) < 3:
            await asyncio.sleep(0)


async def test_an_honest_burst_is_not_held_up_by_dear_messages_of_others() -> None:
    """Four seconds of audio in one read beside ten clients whose messages take two milliseconds each."""
    turns = LoopTurns()
    floods = [0] * 10

    class Dear(Echo):
        number = 0

        def get_websocket_protocol(self) -> Any:
            return FrameSocket(self, self.limits, turns)

        def on_message(self, message: str | bytes) -> None:
            if type(message) is str:
                floods[int(message)] += 1
                until = time.thread_time() + 0.002
                while time.thread_time() < until:
                    pass
            else:
                super().on_message(message)

    async with AsyncExitStack() as stack:
        for number in range(len(floods)):
            offender = await stack.enter_async_context(connected(handler=Dear))
            offender.send(frame(TEXT, b"%d" % number) * 200)
        while min(floods) < 4:
            await asyncio.sleep(0)
        honest = await stack.enter_async_context(connected(handler=Dear))
        before = sum(floods)
        honest.send(frame(BINARY, bytes(640)) * 200)
        for _ in range(200):
            assert await honest.frame() == (BINARY, bytes(640))
        assert sum(floods) - before < 20
