"""Hostile clients, odd proxies and slow phones: none of them may make memory, counters or connections grow."""

from __future__ import annotations

import asyncio
import errno
import gc
import socket
import struct
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import pytest

from server.net.http import connection as connection_module
from server.net.http.connection import SLICE_BYTES
from server.net.http.handover import Upgraded, stream_of
from server.net.http.incoming import SPILL_BYTES
from tests.server.net.http.test_connection import (
    ALIVE,
    CHUNKED,
    HOST,
    LAST,
    LIVE,
    client,
    intent,
    only_connection,
    said,
)
from tests.server.net.http.test_unreadable import counted
from tests.support.gateway import running_gateway
from tests.support.rest import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from server.net.http.connection import Connection
    from tests.support.gateway import GatewayProcess
    from tests.support.rest import Rest

OPENAPI = b"GET /openapi.json HTTP/1.1\r\n" + HOST + b"\r\n"
GZIPPED = b"POST /nowhere HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"
NOT_READING = 64 * 1024  # bytes of the kernel's that a slow client has for our answers


@asynccontextmanager
async def slow_client(port: int) -> AsyncIterator[socket.socket]:
    """A client that reads when it is told to, and has little room."""
    with socket.socket() as connected:
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, NOT_READING)
        connected.setblocking(False)
        await asyncio.get_running_loop().sock_connect(connected, ("127.0.0.1", port))
        yield connected


async def asks_for_much_with_little_room(gw: Rest, slow: socket.socket) -> Connection:
    """The last request of its connection; both kernels keep some kilobytes of the answer, the rest is ours to keep."""
    connection = await only_connection(gw)
    connection._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    await asyncio.get_running_loop().sock_sendall(slow, OPENAPI[:-2] + b"Connection: close\r\n\r\n")
    return connection


def blocked(connection: Connection) -> bool:
    """Does the client take less than we write?"""
    return connection._blocked


# --- who does not read ---


async def test_answers_nobody_reads_are_not_made(tmp_path: Path) -> None:
    async with running(tmp_path) as gw, slow_client(gw.port) as slow:
        one = len(await gw.raw(OPENAPI[:-2] + b"Connection: close\r\n\r\n"))
        await asyncio.get_running_loop().sock_sendall(slow, OPENAPI * 500)
        connection = await only_connection(gw)
        while not connection._blocked:
            await asyncio.sleep(0.001)
        await asyncio.sleep(0.05)
        assert connection._transport.get_write_buffer_size() < 3 * one
        answers = 0
        while answers < 500:
            answers += (await asyncio.get_running_loop().sock_recv(slow, 1 << 20)).count(b"HTTP/1.1 200 OK")


@pytest.mark.parametrize("many", [LIVE * 3_000, None], ids=["answered at once", "answered by a task"])
async def test_requests_in_a_row_leave_others_their_turn(tmp_path: Path, many: bytes | None) -> None:
    """One client's pipeline of thousands; another client's single request is not behind it."""
    async with running(tmp_path) as gw, client(gw) as (crowd, crowded), client(gw) as (reader, writer):
        writer.write(LIVE)
        await reader.readuntil(b"}")
        crowded.write(many or intent(gw, "again") * 300)
        await crowd.readuntil(b"HTTP/1.1 200")
        writer.write(LIVE)
        await reader.readuntil(b"}")
        open_now: set[Any] = gw.server.connections.open
        connection = next(one for one in open_now if one._waits or one._serving or one._unparsed)
        assert connection._unparsed or connection._waiting


async def test_a_dear_pipeline_does_not_hold_up_a_short_one(tmp_path: Path) -> None:
    """Each connection has a share of the loop of its own."""
    async with running(tmp_path) as gw, client(gw) as (_, crowded), client(gw) as (reader, writer):
        crowded.write(intent(gw, "again") * 400)
        open_now: set[Any] = gw.server.connections.open
        while not any(one._share.spent for one in open_now):
            await asyncio.sleep(0)
        before = len(gw.script.contexts)
        writer.write((LIVE + intent(gw, "mine")) * 10)
        for _ in range(20):
            await reader.readuntil(b"HTTP/1.1 200")
        assert len(gw.script.contexts) - before < 10 + 8


async def test_who_does_not_read_is_reset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mere close would stand in a queue behind the unread answers, which the kernel would keep for minutes."""
    monkeypatch.setattr(connection_module, "WRITE_TIMEOUT_S", 0.2)
    async with running(tmp_path) as gw, slow_client(gw.port) as slow:
        await asyncio.get_running_loop().sock_sendall(slow, OPENAPI * 200)
        await only_connection(gw)
        while gw.server.connections.open:
            await asyncio.sleep(0.01)

        async def read_all() -> None:
            while await asyncio.get_running_loop().sock_recv(slow, 1 << 20):
                pass

        with pytest.raises(ConnectionResetError):
            await read_all()


async def test_who_reads_the_last_answer_to_its_half_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "WRITE_TIMEOUT_S", 1.5)
    async with running(tmp_path) as gw, slow_client(gw.port) as slow:
        loop = asyncio.get_running_loop()
        connection = await asks_for_much_with_little_room(gw, slow)
        while not (connection._ending and blocked(connection)):
            await asyncio.sleep(0.001)
        while blocked(connection):
            await loop.sock_recv(slow, 4096)
        while gw.server.connections.open:
            await asyncio.sleep(0.01)
        assert not blocked(connection)


# --- who sends much at once ---


async def test_what_waits_behind_a_request_waits_as_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also when quick answers stand between it and the slow one: then they are all made in one go."""
    most = 0
    advance = connection_module.Connection._advance

    def watched(connection: connection_module.Connection) -> None:
        nonlocal most
        most = max(most, len(connection._waiting))
        advance(connection)

    monkeypatch.setattr(connection_module.Connection, "_advance", watched)
    async with running(tmp_path) as gw:
        answers = await gw.raw(intent(gw, "slow") + LIVE * 1000 + LAST)
    assert answers.count(b"HTTP/1.1 200 OK") == 1002
    assert most <= SLICE_BYTES // len(LIVE) + 1


# --- counted once ---


@pytest.mark.parametrize("expect", [True, False])
async def test_a_body_that_is_too_large_and_complete_is_one_answer(tmp_path: Path, *, expect: bool) -> None:
    async with running(tmp_path, max_body_bytes=1024) as gw:
        if expect:
            request = intent(gw, "x" * 2000, b"Expect: 100-continue")
        else:
            monstrous = b"x" * (SPILL_BYTES + 2048)
            head = intent(gw, "", CHUNKED.strip()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
            request = head + b"%x\r\n%b\r\n0\r\n\r\n" % (len(monstrous), monstrous)
        answer = await gw.raw(request)
        assert counted(gw) == [("POST", "/api/v1/agent/intent", "413")]
    assert answer.count(b"HTTP/1.1 413") == 1


async def test_what_comes_behind_the_last_request_is_not_counted(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answers = await gw.raw(intent(gw, "one") + LAST + LIVE)
        assert "400" not in [status for _, _, status in counted(gw)]
    assert said(answers) == ["one"]
    assert answers.count(b"HTTP/1.1") == 2


# --- who has gone, or still sends, when the last answer comes ---


async def test_a_client_that_has_gone_before_its_last_answer_is_no_error_of_ours(tmp_path: Path) -> None:
    errors: list[dict[str, object]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: errors.append(context))
    async with running(tmp_path) as gw:
        refused = b"POST /api/v1/voice/stt HTTP/1.1\r\n" + HOST + b"Content-Length: 9\r\n\r\n"
        for _ in range(10):
            with socket.create_connection(("127.0.0.1", gw.port)) as gone:
                gone.sendall(refused)
        while len(counted(gw)) < 10 or gw.server.connections.open:
            await asyncio.sleep(0.01)
        gc.collect()
    assert not errors


@pytest.mark.parametrize("last", [LAST, b"GET /live HTTP/1.0\r\n\r\n", GZIPPED], ids=["close", "1.0", "refused"])
async def test_the_last_answer_reaches_who_sends_on(
    tmp_path: Path, last: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Closed with their bytes unread, their kernel would drop the answer."""
    monkeypatch.setattr(connection_module, "LINGER_S", 60.0)  # on a busy machine, the client reads it later
    async with running(tmp_path) as gw:
        for number in range(20):
            async with slow_client(gw.port) as slow:
                loop = asyncio.get_running_loop()
                await loop.sock_sendall(slow, last + LIVE * 1000 * number)
                answer = await loop.sock_recv(slow, 4096)
                assert await loop.sock_recv(slow, 4096) == b""
            assert answer.startswith(b"HTTP/1.1 ")


async def test_the_last_answer_reaches_who_reads_slowly(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "LINGER_S", 0.01)
    async with running(tmp_path) as gw, slow_client(gw.port) as slow:
        loop = asyncio.get_running_loop()
        await asks_for_much_with_little_room(gw, slow)
        answer = bytearray()
        while piece := await loop.sock_recv(slow, 16 * 1024):
            answer += piece
            await asyncio.sleep(0.01)
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"Content-Length: %d\r\n" % len(body) in head


# --- told wrongly ---


async def test_http_1_0_knows_no_100_continue(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(intent(gw, "hello", b"Expect: 100-continue").replace(b"HTTP/1.1", b"HTTP/1.0", 1))
    assert answer.startswith(b"HTTP/1.1 200")


async def test_a_body_that_waits_for_its_turn_is_not_late(tmp_path: Path) -> None:
    command = b'{"command": "date"}'
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        gw.server.connections.for_body.limit_s = 0.05
        gw.script.task_gate = asyncio.Event()
        bearer = f"Authorization: {gw.bearer('operator')['Authorization']}\r\n".encode()
        writer.write(
            b"POST /api/v1/executor/os/command HTTP/1.1\r\n" + HOST + bearer
            + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(command) + command
        )  # fmt: skip
        request = intent(gw, "behind it")
        writer.write(request[:-5])
        await asyncio.sleep(0.15)
        gw.server.connections.for_body.limit_s = 60
        gw.script.task_gate.set()
        await reader.readuntil(b"}")
        writer.write(request[-5:] + LAST)
        assert said(await reader.read()) == ["behind it"]


# --- who leaves in the middle of a handshake ---


def lines_of_sockets(gateway: GatewayProcess) -> int:
    """Refused handshakes and closed sockets in the log."""
    told = gateway.log.read_text()
    return told.count("/ws/{session_id}") + told.count("socket closed")


def handshake(gateway: GatewayProcess, session_id: str, *headers: bytes) -> bytes:
    lines = [
        f"GET /ws/{session_id} HTTP/1.1\r\nHost: 127.0.0.1:{gateway.port}\r\nAuthorization: Bearer {gateway.token}".encode(),
        b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
        *headers,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n"


async def test_a_client_that_leaves_in_its_handshake_is_one_line_and_no_socket(tmp_path: Path) -> None:
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        descriptors = Path(f"/proc/{gateway.process.pid}/fd")
        before = len(list(descriptors.iterdir()))
        left = 0
        while left < 100 or lines_of_sockets(gateway) == 0:
            with socket.create_connection(("127.0.0.1", gateway.port)) as hasty:
                hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # closed by RST
                hasty.sendall(handshake(gateway, f"left-{left}"))
                await asyncio.sleep(max(0, left - 100) / 1000)  # a busy gateway has read none of the first hundred
            left += 1
        while len(list(descriptors.iterdir())) > before:
            await asyncio.sleep(0.05)
        gateway.stop()
    assert "Traceback" not in gateway.log.read_text()
    assert lines_of_sockets(gateway) <= left


async def test_a_handshake_with_a_body_loses_no_frame_behind_it(tmp_path: Path) -> None:
    """They would be read as requests: the connection ends instead."""
    frame = b"\x81\x94\0\0\0\0" + b'{"type":"ping","t":1}'
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(handshake(gateway, "body", b"Content-Length: 5") + b"hello" + frame)
        assert await reader.read() == b""
        writer.close()


def test_a_handover_without_a_descriptor_left_closes_the_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody else would: it is no connection of HTTP any more."""
    transport = Mock(asyncio.Transport)
    monkeypatch.setattr("os.dup", Mock(side_effect=OSError(errno.EMFILE, "Too many open files")))
    with pytest.raises(OSError, match="Too many"):
        stream_of(Upgraded(transport, b""))
    transport.abort.assert_called_once()


async def test_a_pipeline_is_answered_whole_also_to_a_client_that_sends_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection_module, "TURN_S", 0.0)  # each slice waits for its turn
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        writer.write(LIVE * 50)
        writer.write_eof()
        assert (await reader.read()).count(ALIVE) == 50
