"""RFC 6455 with the fall-back WS_READER=tornado: the same cases as on our own protocol class."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httpserver import HTTPServer
from tornado.netutil import bind_sockets
from tornado.web import Application
from tornado.websocket import WebSocketHandler

from server.net.loop_turns import FIRST_MESSAGES, SHARE_S, LoopTurns, Share
from server.net.websocket import fall_back
from server.net.websocket.fall_back import checked
from server.net.websocket.limits import FRAMES_BURST, PINGS
from tests.server.net.websocket.client import HANDSHAKE, Client
from tests.server.net.websocket.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, frame
from tests.server.net.websocket.echo import LARGE, Echo
from tests.server.net.websocket.test_conformance import RUN, answers, send

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from tests.server.net.websocket.cases import Case


@asynccontextmanager
async def connected(handler: type[Echo] = Echo) -> AsyncIterator[Client]:
    app = Application([("/.*", handler, {"reader": "tornado"})], websocket_max_message_size=LARGE)
    server = HTTPServer(app)
    sockets = bind_sockets(0, "127.0.0.1")
    server.add_sockets(sockets)
    reader, writer = await asyncio.open_connection(*sockets[0].getsockname())
    try:
        writer.write(HANDSHAKE)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 101")
        yield Client(reader, writer, None)
    finally:
        writer.close()
        server.stop()


@pytest.mark.parametrize("case", RUN.values(), ids=RUN)
async def test_case(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fall_back, "FRAMES_BURST", Echo.limits.frames_burst)  # the long cases have 65,536 fragments
    async with connected() as client, asyncio.TaskGroup() as tasks:
        tasks.create_task(send(client, case.pieces), name="client")
        found, code = await answers(client)
        assert tuple(found) == case.answers
        assert code in case.codes


async def test_a_flood_of_pings_is_refused() -> None:
    async with connected() as client:
        client.send(frame(PING) * PINGS)
        for _ in range(PINGS):
            assert await client.frame() == (PONG, b"")
        client.send(frame(PING))
        assert await client.close_code() == 1008


async def test_others_have_a_turn_between_the_messages_of_a_crowded_read() -> None:
    seen: list[str] = []

    class Ticking(Echo):
        def on_message(self, message: str | bytes) -> None:
            seen.append("message")
            asyncio.get_running_loop().call_soon(seen.append, "another")
            super().on_message(message)

    many = 5 * FIRST_MESSAGES
    async with connected(Ticking) as client:
        client.send(frame(TEXT, b"x") * many)
        for _ in range(many):
            assert await client.frame() == (TEXT, b"x")
    longest = max(len(run) for run in "".join(word[0] for word in seen).split("a"))
    assert longest <= FIRST_MESSAGES


@pytest.mark.parametrize("flood", [frame(BINARY), frame(PONG)], ids=["empty frames", "pongs"])
async def test_a_flood_of_frames_is_refused(flood: bytes) -> None:
    class Deaf(Echo):
        def on_message(self, message: str | bytes) -> None:
            pass

    async with connected(Deaf) as client:
        client.send(flood * (FRAMES_BURST + 100))
        assert await client.close_code() == 1008


async def test_an_honest_burst_is_not_held_up_by_dear_messages_of_others() -> None:
    """Each socket has a share of its own."""
    turns = LoopTurns()
    floods = [0] * 5

    class Dear(Echo):
        def get_websocket_protocol(self) -> Any:
            return checked(self, WebSocketHandler.get_websocket_protocol(self), turns)

        def on_message(self, message: str | bytes) -> None:
            if type(message) is str:
                floods[int(message)] += 1
                until = time.thread_time() + 0.004
                while time.thread_time() < until:
                    pass
            else:
                super().on_message(message)

    async with AsyncExitStack() as stack:
        for number in range(len(floods)):
            offender = await stack.enter_async_context(connected(Dear))
            offender.send(frame(TEXT, b"%d" % number) * 200)
        while min(floods) < 4:
            await asyncio.sleep(0)
        honest = await stack.enter_async_context(connected(Dear))
        before = sum(floods)
        honest.send(frame(BINARY, b"x") * 40)
        for _ in range(40):
            assert await honest.frame() == (BINARY, b"x")
        assert sum(floods) - before < 10


@pytest.mark.plain_python("derives from a compiled class")
async def test_who_has_spent_its_share_waits_for_its_turn_with_each_read() -> None:
    """Messages that come one by one are no crowd, however dear they are."""
    waits: list[Share] = []

    class Watched(LoopTurns):
        def wait(self, go_on: Callable[[int], None], share: Share) -> None:
            waits.append(share)
            super().wait(go_on, share)

    class Dear(Echo):
        def get_websocket_protocol(self) -> Any:
            return checked(self, WebSocketHandler.get_websocket_protocol(self), Watched())

        def on_message(self, message: str | bytes) -> None:
            until = time.thread_time() + 10 * SHARE_S
            while time.thread_time() < until:
                pass
            super().on_message(message)

    async with connected(Dear) as client:
        for number in range(2):
            client.send(frame(TEXT, b"x"))
            assert await client.frame() == (TEXT, b"x")
            assert len(waits) == number


async def test_an_error_comes_before_the_close() -> None:
    class Speaking(Echo):
        def last_words(self, code: int, _reason: str) -> list[str]:
            return [f"because of {code}"]

    async with connected(Speaking) as client:
        client.send(frame(TEXT, b"executed?", mask=None))
        assert await client.frame() == (TEXT, b"because of 1002")
        assert await client.close_code() == 1002


async def test_nothing_more_is_read_of_who_is_ignored_and_it_is_still_told_why() -> None:
    taken: list[bytes] = []

    class Impatient(Echo):
        def on_message(self, message: str | bytes) -> None:
            taken.append(bytes(message))  # type: ignore[arg-type]
            socket = self.ws_connection
            assert isinstance(socket, fall_back.CheckedProtocol)
            socket.ignore()
            self.write_message(b"enough", binary=True)
            self.close(4029, "too many")

    async with connected(Impatient) as client:
        bad = frame(TEXT, b"\xff")
        client.send(frame(BINARY, b"first"), bad * 2_000, frame(CLOSE, b"\x03\xe8"), bad * 2_000)
        assert await client.frame() == (BINARY, b"enough")
        assert await client.frame() == (CLOSE, b"\x0f\xbdtoo many")
        assert await client.reader.read() == b""  # our half is closed: what the client still sends meets no reset
    assert taken == [b"first"]


class Endless(fall_back.CheckedProtocol):
    """Has always read some more, as if it had come meanwhile."""

    reads = 0

    async def _read(self) -> bytes:
        Endless.reads += 1
        if 1 < Endless.reads < 1_000:
            self.stream._read_buffer[:0] = b"x" * 100
            self.stream._read_buffer_size += 100
        return await super()._read()


@pytest.fixture
def endless(monkeypatch: pytest.MonkeyPatch) -> type[Endless]:
    monkeypatch.setattr(fall_back, "CheckedProtocol", Endless)
    Endless.reads = 0
    return Endless


async def test_others_run_while_it_is_read_what_an_ignored_client_still_sends(endless: type[Endless]) -> None:
    """Data that is there is read without waiting, and one that floods has always some there."""
    turns = 0
    async with connected() as client:
        client.send(frame(TEXT, b"executed?", mask=None))
        assert await client.close_code() == 1002
        while endless.reads < 100:
            turns += 1
            await asyncio.sleep(0)
    assert turns > 50


@pytest.mark.parametrize("closed_by", ["the protocol", "the handler"])
async def test_a_flood_is_not_read_for_as_long_as_it_lasts(
    endless: type[Endless], monkeypatch: pytest.MonkeyPatch, closed_by: str
) -> None:
    monkeypatch.setattr(fall_back, "LINGER_BYTES", 1_000)
    ended = asyncio.Event()
    protocols: list[fall_back.CheckedProtocol] = []

    class Told(Echo):
        def open(self, *_args: str, **_kwargs: str) -> None:
            assert isinstance(self.ws_connection, fall_back.CheckedProtocol)
            protocols.append(self.ws_connection)

        def on_message(self, message: str | bytes) -> None:
            protocols[0].ignore()
            self.close(1002, "too many")

        def on_close(self) -> None:
            ended.set()

    async with connected(Told) as client:
        client.send(frame(TEXT, b"executed?", mask=None if closed_by == "the protocol" else b"1234"))
        assert await client.close_code() == 1002
        for _ in range(200):
            await asyncio.sleep(0)
        assert endless.reads < 20
        protocols[0]._abort()  # as Tornado does some seconds later
        await ended.wait()


async def test_a_message_has_to_be_finished_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fall_back, "PING_INTERVAL_S", 0)  # any time is too long
    begun = asyncio.Event()

    class Told(Echo):
        def on_part(self) -> None:
            begun.set()

    async with connected(Told) as client:
        client.send(frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b"))
        assert await client.frame() == (TEXT, b"ab")
        client.send(frame(TEXT, b"a", fin=False))
        await begun.wait()
        client.send(frame(CONTINUATION, b"b", fin=False))
        assert await client.close_code() == 1008
