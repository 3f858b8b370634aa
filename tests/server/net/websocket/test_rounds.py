"""Sockets that are read in rounds: nothing is lost or late, and everything unusual is left to their transports."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import pytest

from server.net.loop_turns import FIRST_MESSAGES, LoopTurns
from server.net.websocket.limits import LONG_READ_BYTES
from server.net.websocket.rounds import BUSY_ROUND_S, QUICK_ACK, ReadRounds, pause_s
from server.net.websocket.socket import JOIN_FRAMES, FrameSocket
from tests.server.net.websocket.client import Client, connected
from tests.server.net.websocket.client_frames import BINARY, CLOSE, PING, PONG, TEXT, close, frame
from tests.server.net.websocket.echo import Echo

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


@asynccontextmanager
async def joined() -> AsyncIterator[tuple[ReadRounds, Client]]:
    """A client whose socket is read in rounds."""
    rounds = ReadRounds(asyncio.get_running_loop())

    class InRounds(Echo):
        def get_websocket_protocol(self) -> Any:
            return FrameSocket(self, self.limits, LoopTurns(), rounds)

    try:
        async with connected(handler=InRounds) as client:
            for number in range(JOIN_FRAMES + 1):
                assert len(rounds) == 0
                await echoed(client, b"%d" % number)
            assert len(rounds) == 1
            yield rounds, client
    finally:
        rounds.close()


async def echoed(client: Client, payload: bytes) -> None:
    client.send(frame(BINARY, payload))
    assert await client.frame() == (BINARY, payload)


async def test_everything_is_answered_in_order() -> None:
    async with joined() as (_, client):
        await echoed(client, b"x" * 40_000)  # more than one read
        client.send(frame(BINARY, b"1"), frame(PING, b"2"))
        assert await client.frame() == (BINARY, b"1")
        assert await client.frame() == (PONG, b"2")


@pytest.mark.parametrize("reads_per_s", [1e3, 1e4])
async def test_a_busy_round_takes_what_came_in_between(reads_per_s: float) -> None:
    async with joined() as (rounds, client):
        rounds._pause_s = pause_s(reads_per_s)
        for number in range(20):
            client.send(frame(BINARY, b"%d" % number))
            assert await client.frame() == (BINARY, b"%d" % number)


@pytest.mark.skipif(QUICK_ACK is None, reason="Linux only")
async def test_acknowledgements_of_frames_in_rounds_may_be_late() -> None:
    async with joined() as (_, client):
        transport = client.handler.ws_connection.transport
        assert transport.get_extra_info("socket").getsockopt(socket.IPPROTO_TCP, QUICK_ACK) == 0


async def taken_together(client: Client, *frames: bytes) -> None:
    """Send frames that nobody answers, in one piece."""
    done = asyncio.get_running_loop().create_future()
    heard: list[bytes | str] = []

    def take(message: bytes | str) -> bool:
        heard.append(message)
        if len(heard) == len(frames):
            done.set_result(None)
        return True

    socket_of = client.handler.ws_connection
    socket_of.express, socket_of._deliver = take, lambda messages: [take(each) for each in messages]
    client.send(*(frame(BINARY, each) for each in frames))
    await done


@pytest.mark.skipif(QUICK_ACK is None, reason="Linux only")
@pytest.mark.parametrize("in_time", [True, False])
async def test_a_client_that_waits_for_acknowledgements_gets_them_with_each_read(in_time: bool) -> None:
    """Without TCP_NODELAY a frame is held back until the one before is acknowledged, and comes together with the next one."""
    async with joined() as (rounds, client):
        tcp = client.handler.ws_connection.transport.get_extra_info("socket")
        rounds._pause_s = 0.0 if in_time else BUSY_ROUND_S
        rounds._emptied_at = 0.0
        await taken_together(client, b"a" * 200, b"b" * 200)
        tcp.setsockopt(socket.IPPROTO_TCP, QUICK_ACK, 0)  # as the kernel does when we send something
        await taken_together(client, b"c" * 200)
        assert (client.handler.ws_connection._seat._prompt_reads > 0) is in_time
        assert not in_time or tcp.getsockopt(socket.IPPROTO_TCP, QUICK_ACK) == 1


async def test_a_lone_frame_goes_the_short_way_if_that_takes_it() -> None:
    taken = asyncio.get_running_loop().create_future()

    def take(message: bytes | str) -> bool:
        if message[:1] != b"a":
            return False
        taken.set_result(message)
        return True

    async with joined() as (_, client):
        client.handler.ws_connection.express = take
        client.send(frame(BINARY, b"a" * 200))
        assert await taken == b"a" * 200
        await echoed(client, b"b" * 200)


async def test_a_lone_frame_read_during_a_pause_waits_for_those_before_it() -> None:
    lone = b"a" * 200
    async with connected() as client:
        heard: list[bytes | str] = []
        paused = client.handler.ws_connection
        paused.express, paused._deliver = lambda _message: False, heard.extend
        paused.data_received(b"".join(frame(TEXT, b"%d" % number) for number in range(2 * FIRST_MESSAGES)))
        assert paused._waits
        paused.data_received(frame(BINARY, lone))
        assert lone not in heard
        while lone not in heard:
            await asyncio.sleep(0)
        assert heard == [*map(str, range(2 * FIRST_MESSAGES)), lone]


async def test_the_rest_of_a_frame_that_is_read_during_a_pause() -> None:
    """A long read waits for its turn, and its rest waits behind it."""
    long, lone = b"a" * (LONG_READ_BYTES - 1_000), b"b" * 2_000
    async with connected() as client:
        heard: list[bytes | str] = []
        paused = client.handler.ws_connection
        paused.express, paused._deliver = lambda _message: False, heard.extend
        data = frame(BINARY, long) + frame(BINARY, lone)
        paused.data_received(data[:-100])
        assert paused._waits
        paused.data_received(data[-100:])
        assert heard == []
        while lone not in heard:
            await asyncio.sleep(0)
        assert heard == [long, lone]


async def test_a_fault_on_the_short_way_ends_that_socket() -> None:
    def take(_message: bytes | str) -> bool:
        raise ZeroDivisionError

    async with joined() as (_, client):
        client.handler.ws_connection.express = take
        client.send(frame(BINARY, b"a" * 200))
        assert await client.close_code() == 1011


def test_few_microphones_are_read_at_once() -> None:
    assert pause_s(16 * 50) == 0
    assert pause_s(50_000) == BUSY_ROUND_S


class Transport:
    """What a seat uses of a transport."""

    def __init__(self, connection: socket.socket) -> None:
        self.extra = {"socket": connection}
        self.closing = self.paused = False

    def get_extra_info(self, name: str) -> Any:
        return self.extra.get(name)

    def is_closing(self) -> bool:
        return self.closing

    def pause_reading(self) -> None:
        self.paused = True

    def resume_reading(self) -> None:
        self.paused = False


async def test_many_sockets_are_read_in_parts() -> None:
    """More than one turn of the loop reads at once."""
    turns: list[int] = []
    rounds = ReadRounds(asyncio.get_running_loop())
    pairs = [socket.socketpair() for _ in range(150)]
    turn = 0
    try:
        for near, far in pairs:
            transport: Any = Transport(near)
            assert rounds.join(transport, lambda _data: turns.append(turn)) is not None
            far.send(b"x")
        while len(turns) < len(pairs):
            await asyncio.sleep(0)
            turn += 1
        assert len(set(turns)) >= 3
    finally:
        rounds.close()
        for near, far in pairs:
            near.close()
            far.close()


def _fails(_data: bytes) -> None:
    raise ZeroDivisionError


async def test_a_fault_in_one_connections_code_does_not_stop_the_others() -> None:
    heard: list[bytes] = []
    faults: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: faults.append(context["exception"]))
    rounds = ReadRounds(loop)
    rounds._pause_s = pause_s(1e4)
    pairs = [socket.socketpair() for _ in range(2)]
    deliver = [_fails, heard.append]
    try:
        for (near, _), each in zip(pairs, deliver, strict=True):
            transport: Any = Transport(near)
            assert rounds.join(transport, each) is not None
        for number in range(3):
            for _, far in pairs:
                far.send(b"x")
            while len(heard) <= number:
                await asyncio.sleep(0.001)
        assert [type(fault) for fault in faults[:3]] == [ZeroDivisionError] * 3
    finally:
        rounds.close()
        for near, far in pairs:
            near.close()
            far.close()


async def test_a_client_that_closes() -> None:
    async with joined() as (rounds, client):
        client.send(close(1000))
        assert await client.frame() == (CLOSE, b"\x03\xe8")
        client.writer.close()
        assert (await client.handler.closed).code == 1000
        while len(rounds):
            await asyncio.sleep(0.005)


async def test_a_client_that_is_gone() -> None:
    async with joined() as (rounds, client):
        client.writer.transport.abort()
        assert (await client.handler.closed).code == 1006
        assert len(rounds) == 0


async def test_a_socket_that_we_cut() -> None:
    async with joined() as (rounds, client):
        client.send(frame(BINARY, b"under way"))
        client.handler.ws_connection.abort()
        assert (await client.handler.closed).code == 1006
        assert len(rounds) == 0


async def test_a_read_of_very_many_events_goes_back_to_the_transport() -> None:
    async with joined() as (rounds, client):
        client.send(frame(BINARY, b"") * (2 * FIRST_MESSAGES))
        for _ in range(2 * FIRST_MESSAGES):
            assert await client.frame() == (BINARY, b"")
        for number in range(JOIN_FRAMES + 1):
            await echoed(client, b"%d" % number)
        assert len(rounds) == 1  # and comes back


async def test_a_crowded_read_that_joins_the_rounds_is_not_read_by_its_transport_too() -> None:
    rounds = ReadRounds(asyncio.get_running_loop())

    class InRounds(Echo):
        def get_websocket_protocol(self) -> Any:
            return FrameSocket(self, self.limits, LoopTurns(), rounds)

    try:
        async with connected(handler=InRounds) as client:
            client.send(frame(BINARY, b"") * (JOIN_FRAMES + 8))
            for _ in range(JOIN_FRAMES + 8):
                assert await client.frame() == (BINARY, b"")
            both = len(rounds) == 1 and client.handler.ws_connection.transport.is_reading()
            assert not both
            await echoed(client, b"and goes on")
    finally:
        rounds.close()


async def test_a_number_that_belongs_to_another_connection_now() -> None:
    """A transport closes its descriptor before it says so. The next connection gets the number."""
    heard: list[bytes] = []
    rounds = ReadRounds(asyncio.get_running_loop())
    near, far = socket.socketpair()
    old: Any = Transport(near)
    new: Any = Transport(near)
    try:
        first = rounds.join(old, heard.append)
        rounds._epoll.unregister(near.fileno())  # as the kernel does when the last descriptor is closed
        old.closing = True
        second = rounds.join(new, heard.append)
        assert first is not None
        assert second is not None
        first.read()  # it must not take the other one's data
        assert len(rounds) == 1
        far.send(b"for the second")
        while not heard:
            await asyncio.sleep(0)
        assert heard == [b"for the second"]
        second.leave()
        assert len(rounds) == 0
        assert not new.paused
    finally:
        rounds.close()
        near.close()
        far.close()


async def test_an_encrypted_connection_is_left_to_its_transport() -> None:
    rounds = ReadRounds(asyncio.get_running_loop())
    near, far = socket.socketpair()
    transport: Any = Transport(near)
    transport.extra["sslcontext"] = object()
    assert rounds.join(transport, lambda _data: None) is None
    assert not transport.paused
    rounds.close()
    near.close()
    far.close()
