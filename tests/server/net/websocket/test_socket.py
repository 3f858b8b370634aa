"""A FrameSocket over a real connection: closing, failures, and misbehaving clients."""

from __future__ import annotations

import asyncio
import socket
from types import SimpleNamespace
from typing import Any

import pytest
from tornado.websocket import WebSocketClosedError

from server.net.websocket.events import Closed
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import FrameSocket
from tests.server.net.websocket.client import MESSAGE_BYTES, connected
from tests.server.net.websocket.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame
from tests.server.net.websocket.echo import Echo


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
        client.send(frame(TEXT, b"a"), frame(BINARY, b"b"), frame(TEXT, b"c"), frame(TEXT, b"d"))
        assert [(await client.frame())[1] for _ in range(4)] == [b"a", b"b", b"c", b"d"]
    assert batches == [["a", b"b", "c"], ["d"]]


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


async def test_the_clients_half_ends_while_it_does_not_read() -> None:
    """What waits for it is less than what pauses a writer."""
    async with connected(limits=SocketLimits(MESSAGE_BYTES, 1024 * 1024, close_timeout_s=0.05)) as client:
        client.writer.transport.pause_reading()  # type: ignore[attr-defined]
        socket = client.handler.ws_connection
        while not socket.transport.get_write_buffer_size():
            socket.send([bytes(10_000)])
        assert not socket.paused
        client.writer.write_eof()
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


async def test_nothing_more_is_read_of_who_is_ignored_and_it_is_still_told_why() -> None:
    taken: list[bytes] = []

    class Impatient(Echo):
        def on_message(self, message: str | bytes) -> None:
            taken.append(bytes(message))  # type: ignore[arg-type]
            socket = self.ws_connection
            socket.ignore()  # type: ignore[union-attr]
            socket.send([b"enough"])  # type: ignore[union-attr]
            self.close(4029, "too many")

    async with connected(handler=Impatient) as client:
        bad = frame(TEXT, b"\xff")
        client.send(frame(BINARY, b"first"), bad * 2_000, frame(CLOSE, b"\x03\xe8"), bad * 2_000)
        assert await client.frame() == (BINARY, b"enough")
        assert await client.frame() == (CLOSE, b"\x0f\xbdtoo many")
        assert await client.reader.read() == b""  # our half is closed: what the client still sends meets no reset
        client.writer.close()
        await client.handler.closed
    assert taken == [b"first"]


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
