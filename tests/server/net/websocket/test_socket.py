"""A FrameSocket over a real connection: closing, failures, and misbehaving clients."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from tornado.web import Application
from tornado.websocket import WebSocketClosedError

from server.net.turns import FIRST_MESSAGES, SHARE_S, TURN_S, Share, Turns
from server.net.websocket.frames import Closed, FrameReader
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import LONG_READ_BYTES, FrameSocket
from tests.server.net.websocket.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame
from tests.server.net.websocket.echo import Echo, HandshakeConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from server.net.websocket.frames import SocketEvent

HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE_BYTES = 64 * 1024
LIMITS = SocketLimits(message_bytes=MESSAGE_BYTES, write_buffer_bytes=1024 * 1024)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    handler: Any  # at the other end

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; it is final and unmasked."""
        first, length = await self.reader.readexactly(2)
        assert first & 0xF0 == 0x80
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 15, await self.reader.readexactly(length)

    async def close_code(self) -> int:
        """Of the close frame that comes next; behind it the server ends the connection."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE
        assert await self.reader.read() == b""
        return int.from_bytes(payload[:2], "big") or 1005


@asynccontextmanager
async def connected(
    early: bytes = b"", limits: SocketLimits = LIMITS, handler: type[Echo] = Echo
) -> AsyncIterator[Client]:
    kind = type("LimitedEcho", (handler,), {"limits": limits})
    made: asyncio.Queue[Any] = asyncio.Queue()
    app = Application()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HandshakeConnection(app, kind, made.put_nowait), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        writer.write(HANDSHAKE + early)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, section 1.3
        yield Client(reader, writer, await made.get())
    finally:
        writer.close()
        server.close()


async def test_what_comes_right_behind_the_handshake() -> None:
    async with connected(early=frame(TEXT, b"early")) as client:
        assert await client.frame() == (TEXT, b"early")


async def test_the_first_messages_of_a_read_reach_the_handler_at_once() -> None:
    batches: list[list[Any]] = []

    class Batches(Echo):
        def on_messages(self, messages: list[Any]) -> None:
            batches.append(messages)
            self.ws_connection.send(messages)  # type: ignore[union-attr]

    async with connected(handler=Batches) as client:
        client.send(frame(TEXT, b"a"), frame(BINARY, b"b"), frame(TEXT, b"c"))
        assert [await client.frame() for _ in range(3)] == [(TEXT, b"a"), (BINARY, b"b"), (TEXT, b"c")]
    assert batches == [["a", b"b"], ["c"]]


async def test_control_frames_keep_their_place() -> None:
    async with connected() as client:
        client.send(frame(TEXT, b"a"), frame(PING, b"1"), frame(PONG, b"nobody asked"), frame(TEXT, b"b"))
        assert [await client.frame() for _ in range(3)] == [(TEXT, b"a"), (PONG, b"1"), (TEXT, b"b")]


@pytest.mark.parametrize("code", [1000, 1001, 3000, 4999])
async def test_the_client_closes(code: int) -> None:
    async with connected() as client:
        client.send(close(code, b"bye"), frame(TEXT, b"ignored"))
        assert await client.close_code() == code
        assert await client.handler.closed == Closed(code, "bye")


async def test_the_client_closes_without_a_code() -> None:
    async with connected() as client:
        client.send(close())
        assert await client.close_code() == 1005
        assert (await client.handler.closed).code == 1006


async def test_we_close_and_what_still_comes_is_nobodys() -> None:
    async with connected() as client:
        client.send(frame(TEXT, b"a"))
        assert await client.frame() == (TEXT, b"a")
        client.handler.close(1012, "restart")
        assert await client.frame() == (CLOSE, (1012).to_bytes(2, "big") + b"restart")
        client.send(frame(TEXT, b"crossed it"), frame(PING), close(1012))
        assert await client.reader.read() == b""
        assert (await client.handler.closed).code == 1012


async def test_a_client_that_never_answers_our_close_is_cut() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024, close_timeout_s=0.05)) as client:
        client.handler.close(1000)
        assert (await client.frame())[0] == CLOSE
        assert (await client.handler.closed).code == 1006


BROKEN = {
    "unmasked": (frame(TEXT, b"a", mask=None), 1002),
    "reserved bit": (frame(TEXT, b"a", rsv=1), 1002),
    "not UTF-8": (frame(TEXT, b"\xff"), 1007),
    "too big": (frame(BINARY, bytes(MESSAGE_BYTES + 1)), 1009),
    "close code": (close(1005), 1002),
}


@pytest.mark.parametrize(("data", "code"), BROKEN.values(), ids=BROKEN)
async def test_who_breaks_the_protocol_is_told_how(data: bytes, code: int) -> None:
    async with connected() as client:
        client.send(frame(TEXT, b"before"), data, frame(TEXT, b"behind"))
        assert await client.frame() == (TEXT, b"before")
        assert await client.close_code() == code
        assert (await client.handler.closed).code == code


async def test_the_code_is_not_lost_while_the_client_still_sends() -> None:
    async with connected() as client:
        client.send(frame(BINARY, bytes(8 * 1024 * 1024)))
        await client.writer.drain()
        assert await client.close_code() == 1009


async def test_the_clients_half_ends_without_a_close() -> None:
    async with connected() as client:
        client.send(frame(TEXT, b"last words"))
        client.writer.write_eof()
        assert await client.frame() == (TEXT, b"last words")
        assert await client.reader.read() == b""
        assert (await client.handler.closed).code == 1006


async def test_a_handler_that_fails_ends_its_socket_with_1011() -> None:
    class Broken(Echo):
        def on_message(self, message: str | bytes) -> None:
            raise RuntimeError(message)

        def log_exception(self, *_args: Any) -> None:
            self.logged = True

    async with connected(handler=Broken) as client:
        client.send(frame(TEXT, b"a"))
        assert await client.close_code() == 1011
        assert client.handler.logged


async def test_no_message_comes_before_open_is_done() -> None:
    ready = asyncio.Event()

    class Slow(Echo):
        opened = False

        async def open(self, *_args: str, **_kwargs: str) -> None:
            await ready.wait()
            self.opened = True

        def on_message(self, message: str | bytes) -> None:
            assert self.opened
            super().on_message(message)

    async with connected(early=frame(TEXT, b"early"), handler=Slow) as client:
        client.send(frame(TEXT, b"later"))
        await asyncio.sleep(0)
        ready.set()
        assert [await client.frame(), await client.frame()] == [(TEXT, b"early"), (TEXT, b"later")]


async def test_aborted_while_messages_of_the_same_read_wait() -> None:
    class Cut(Echo):
        seen = 0

        def on_message(self, message: str | bytes) -> None:
            self.seen += 1
            self.ws_connection.abort()  # type: ignore[union-attr]
            with pytest.raises(WebSocketClosedError):
                self.write_message("too late")

    async with connected(handler=Cut) as client:
        client.send(frame(TEXT, b"a"), frame(PING), frame(TEXT, b"b"))
        assert (await client.handler.closed).code == 1006
        assert client.handler.seen == 1


# --- those who mean ill ---


async def test_a_client_that_does_not_read_is_cut_and_costs_little_meanwhile() -> None:
    limits = SocketLimits(MESSAGE_BYTES, 1024 * 1024, write_timeout_s=0.05)
    async with connected(limits=limits) as client:
        socket = client.handler.ws_connection
        assert isinstance(socket, FrameSocket)
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        written = 0
        while not socket.paused:
            socket.send([bytes(60_000)])
            written += 1
            assert written < 1000
        drained = socket.drained()
        with pytest.raises(WebSocketClosedError):
            await drained
        assert (await client.handler.closed).code == 1006


async def test_a_writer_that_does_not_stop_blows_the_fuse() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 200_000)) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        socket = client.handler.ws_connection
        while not socket.is_closing():
            socket.send([bytes(60_000)])
        with pytest.raises(WebSocketClosedError):
            socket.send([b"too late"])
        assert (await client.handler.closed).code == 1006


async def test_a_writer_goes_on_when_the_client_reads_again() -> None:
    async with connected() as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        socket = client.handler.ws_connection
        sent = 0
        while not socket.paused:
            socket.send([bytes(60_000)])
            sent += 1
        client.send(frame(PING, b"1"), frame(PING, b"2"), frame(PING, b"3"))
        while socket._pong != b"3":
            await asyncio.sleep(0)
        client.writer.transport.resume_reading()  # type: ignore[attr-defined]
        assert [(await client.frame())[0] for _ in range(sent)] == [BINARY] * sent
        assert await client.frame() == (PONG, b"3")  # of those that waited the last one is answered
        await socket.drained()


FLOODS = {
    "pings": frame(PING) * 50,
    "tiny messages": frame(BINARY) * 50,
    "fragments never ended": frame(CONTINUATION, fin=False) * 50,
}


@pytest.mark.parametrize("flood", FLOODS.values(), ids=FLOODS)
async def test_who_floods_is_closed_and_told_why(flood: bytes) -> None:
    limits = SocketLimits(MESSAGE_BYTES, 1024 * 1024, frames_per_s=100, frames_burst=200)
    async with connected(limits=limits) as client:
        client.send(frame(BINARY, fin=False) if flood == FLOODS["fragments never ended"] else b"", flood * 20)
        while (got := await client.frame())[0] != CLOSE:
            pass
        assert int.from_bytes(got[1][:2], "big") == 1008
        assert (await client.handler.closed).code == 1008


async def test_who_pings_on_and_on_is_closed_though_frames_would_be_allowed() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024 * 1024, pings=30)) as client:
        client.send(frame(PING) * 60)
        answers = [await client.frame() for _ in range(31)]
        assert [opcode for opcode, _ in answers] == [PONG] * 30 + [CLOSE]
        assert (await client.handler.closed).code == 1008


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


class LargeCrowd(Turns):
    """A turn each 10 ms, of one socket of a million; all are dear or none."""

    crowd = 10**6

    def __init__(self, *, are_dear: bool) -> None:
        super().__init__()
        self._are_dear = are_dear

    def wait(self, go_on: Callable[[int], None], _share: Share | None = None) -> None:
        asyncio.get_running_loop().call_later(0.01, go_on, 1 if self._are_dear else 8)


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


async def test_who_has_spent_its_share_waits_for_its_turn_with_each_read() -> None:
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
        for number in range(2):
            socket.data_received(frame(TEXT, b"%d" % number + bytes(200)))
            assert len(heard) == number + 1
        socket.data_received(frame(TEXT, b"2" + bytes(200)))
        assert len(heard) == 2
        while len(heard) < 3:
            await asyncio.sleep(0)


async def test_an_honest_burst_is_not_held_up_by_dear_messages_of_others() -> None:
    """Four seconds of audio in one read beside ten clients whose messages take two milliseconds each."""
    turns = Turns()
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


async def test_messages_that_waited_tell_since_when() -> None:
    since: list[float | None] = []

    class Watching(Echo):
        def on_message(self, message: str | bytes) -> None:
            since.append(self.ws_connection.behind_since)  # type: ignore[union-attr]
            super().on_message(message)

    async with connected(handler=Watching) as client:
        client.send(frame(TEXT, b"a") * 50)
        assert [await client.frame() for _ in range(50)] == [(TEXT, b"a")] * 50
        client.send(frame(TEXT, b"b"))
        assert await client.frame() == (TEXT, b"b")
    assert (since[0], since[-1]) == (None, None)
    assert len(set(since)) == 2


async def test_a_burst_is_no_flood() -> None:
    limits = SocketLimits(MESSAGE_BYTES, 1024 * 1024, frames_per_s=100, frames_burst=200)
    async with connected(limits=limits) as client:
        client.send(frame(BINARY, b"a") * 200)
        assert [await client.frame() for _ in range(200)] == [(BINARY, b"a")] * 200


async def test_a_message_that_is_never_finished() -> None:
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024, ping_interval_s=0.05)) as client:
        client.send(frame(BINARY, b"a", fin=False))
        answering = True
        while answering:
            opcode, payload = await client.frame()
            answering = opcode == PING
            client.send(frame(PONG))
        assert (opcode, int.from_bytes(payload[:2], "big")) == (CLOSE, 1008)


@pytest.mark.parametrize(("family", "set_for"), [(socket.AF_INET, [1]), (socket.AF_INET6, [1]), (socket.AF_UNIX, [])])
async def test_delay_is_for_tcp_alone(family: int, set_for: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    """Python 3.11.2, which is Debian 12's, does not give one member of an enum as an attribute of another."""
    values: list[int] = []
    plain = SimpleNamespace(family=int(family), setsockopt=lambda _level, _name, value: values.append(value))
    async with connected() as client:
        frame_socket = client.handler.ws_connection
        with monkeypatch.context() as patch:
            patch.setattr(frame_socket, "transport", SimpleNamespace(get_extra_info=lambda _name: plain))
            frame_socket.set_nodelay(True)
    assert values == set_for
