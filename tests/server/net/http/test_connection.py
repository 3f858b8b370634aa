"""A connection: requests in order, limits of waiting data, the end of responses, and of the connection."""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import TYPE_CHECKING

import pytest

from server.net.http import connection as connection_module
from server.net.http.connection import READ_AHEAD_BYTES, SLICE_BYTES, Connection
from tests.support.rest import running

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.support.rest import Rest

HOST = b"Host: x\r\n"
LIVE = b"GET /live HTTP/1.1\r\n" + HOST + b"\r\n"
LAST = b"GET /live HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
ALIVE = b'{"status":"ok"}'
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def intent(gw: Rest, text: str, *headers: bytes) -> bytes:
    """A request that is answered after a turn or two of the loop."""
    body = json.dumps({"text": text}).encode()
    lines = [b"Content-Type: application/json", f"Authorization: {gw.bearer()['Authorization']}".encode(), *headers]
    if not any(line.startswith(b"Transfer-Encoding") for line in headers):
        lines.append(b"Content-Length: %d" % len(body))
    else:
        body = b"%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    return b"POST /api/v1/agent/intent HTTP/1.1\r\n" + HOST + b"\r\n".join(lines) + b"\r\n\r\n" + body


def said(answers: bytes) -> list[str]:
    """The texts that the scripted service was asked for, in the order of the answers."""
    return [
        json.loads(part.partition(b"\r\n\r\n")[2])["entities"]["said"]
        for part in answers.split(b"HTTP/1.1 ")
        if b'"said"' in part
    ]


async def only_connection(gw: Rest) -> Connection:
    while len(gw.server.connections.open) != 1:
        await asyncio.sleep(0.001)
    (connection,) = gw.server.connections.open
    assert isinstance(connection, Connection)
    return connection


@contextlib.asynccontextmanager
async def client(gw: Rest) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
    try:
        yield reader, writer
    finally:
        writer.close()


# --- in order ---


async def test_many_requests_sent_at_once_are_answered_in_order(tmp_path: Path) -> None:
    texts = [f"number {number}" for number in range(100)]
    async with running(tmp_path) as gw:
        requests = b"".join(intent(gw, text) for text in texts)
        assert len(requests) > 4 * SLICE_BYTES
        answers = await gw.raw(requests + LAST)
    assert said(answers) == texts
    assert answers.endswith(ALIVE)


async def test_quick_answers_wait_for_slow_ones_before_them(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answers = await gw.raw(LIVE + intent(gw, "one") + LIVE + intent(gw, "two", CHUNKED.strip()) + LAST)
    kinds = ["live" if ALIVE in part else "intent" for part in answers.split(b"HTTP/1.1 200 OK")[1:]]
    assert kinds == ["live", "intent", "live", "intent", "live"]


@pytest.mark.parametrize("size", [1, 7, 100])
async def test_bytes_may_come_in_any_pieces(tmp_path: Path, size: int) -> None:
    async with running(tmp_path) as gw:
        requests = intent(gw, "first") + intent(gw, "second", CHUNKED.strip()) + LAST
        async with client(gw) as (reader, writer):
            for start in range(0, len(requests), size):
                writer.write(requests[start : start + size])
                await asyncio.sleep(0)
            answers = await reader.read()
    assert said(answers) == ["first", "second"]
    assert answers.endswith(ALIVE)


async def test_what_is_sent_ahead_waits_in_the_kernel_not_in_our_memory(tmp_path: Path) -> None:
    tiny = b"GET /live HTTP/1.1\r\nHost: x\r\nX: %b\r\n\r\n" % (b"y" * 200)
    async with running(tmp_path) as gw:
        gw.script.task_gate = asyncio.Event()
        async with client(gw) as (reader, writer):
            command = b'{"command": "date"}'
            bearer = f"Authorization: {gw.bearer('operator')['Authorization']}\r\n".encode()
            writer.write(
                b"POST /api/v1/executor/os/command HTTP/1.1\r\n" + HOST + bearer
                + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(command) + command
            )  # fmt: skip
            connection = await only_connection(gw)
            while connection._serving is None:
                await asyncio.sleep(0.001)
            number = 12 * READ_AHEAD_BYTES // len(tiny)
            writer.write(tiny * number)
            while not connection._read_paused:
                await asyncio.sleep(0.001)
            assert len(connection._unparsed) < 6 * READ_AHEAD_BYTES  # asyncio reads 256 KiB at once
            assert len(connection._waiting) <= SLICE_BYTES // len(tiny) + 1
            gw.script.task_gate.set()
            answers = bytearray()
            while answers.count(ALIVE) < number:
                answers += await reader.read(1 << 20)
    assert answers.startswith(b"HTTP/1.1 200 OK")


# --- what is asked beside ---


@pytest.mark.parametrize("framing", [b"", CHUNKED.strip()])
async def test_a_wish_for_another_protocol_is_ignored_and_the_body_read(tmp_path: Path, framing: bytes) -> None:
    """As `curl --http2` sends it; what llhttp takes for the end of the request is its body."""
    upgrade = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA"
    async with running(tmp_path) as gw:
        headers = (upgrade, framing) if framing else (upgrade,)
        answers = await gw.raw(intent(gw, "GET /live HTTP/1.1", *headers) + intent(gw, "next") + LAST)
        without_body = await gw.raw(LIVE[:-2] + upgrade + b"\r\n\r\n" + LAST)
    assert said(answers) == ["GET /live HTTP/1.1", "next"]
    assert answers.count(ALIVE) == 1
    assert without_body.count(ALIVE) == 2


async def test_who_asks_is_told_to_send_the_body(tmp_path: Path) -> None:
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        head, _, body = intent(gw, "hello", b"Expect: 100-continue").partition(b"\r\n\r\n")
        writer.write(head + b"\r\n\r\n")
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(body + LAST)
        assert said(await reader.read()) == ["hello"]


@pytest.mark.parametrize("method", [b"BREW", b"get", b"G\x7fT", b"\x16\x03\x01"])
async def test_a_method_that_nobody_knows(tmp_path: Path, method: bytes) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(method + b" /live HTTP/1.1\r\n" + HOST + b"\r\n")
    document = json.loads(answer.partition(b"\r\n\r\n")[2])
    known_form = method.isalpha()
    assert (document["status"], document["code"]) == ((501, "UNIMPLEMENTED") if known_form else (400, "BAD_REQUEST"))


async def test_http_1_0_keeps_a_connection_that_asks_for_it(tmp_path: Path) -> None:
    keep = b"GET /live HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    async with running(tmp_path) as gw:
        answers = await gw.raw(keep * 2 + b"GET /live HTTP/1.0\r\n\r\n" + LIVE)
    assert answers.count(ALIVE) == 3  # the last one without the wish ended it
    assert answers.count(b"Connection: keep-alive\r\n") == 2
    assert answers.count(b"Connection: close\r\n") == 1


async def test_a_long_answer_in_http_1_0_ends_with_the_connection(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        body = b'{"text": "hello", "format": "pcm"}'
        head = b"POST /api/v1/voice/tts HTTP/1.0\r\nContent-Type: application/json\r\nConnection: keep-alive\r\n"
        bearer = f"Authorization: {gw.bearer()['Authorization']}\r\n".encode()
        answer = await gw.raw(head + bearer + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    head, _, audio = answer.partition(b"\r\n\r\n")
    assert b"Transfer-Encoding" not in head
    assert b"Connection: close" in head
    assert len(audio) == gw.script.speech_pieces * 4410


@pytest.mark.parametrize("path", [b"/live", b"/openapi.json", b"/nowhere"])
async def test_a_head_is_told_the_length_and_nothing_else(tmp_path: Path, path: bytes) -> None:
    async with running(tmp_path) as gw:
        get = await gw.raw(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        head = await gw.raw(b"HEAD " + path + b" HTTP/1.1\r\nHost: x\r\n\r\n" + LAST)
    length = len(get.partition(b"\r\n\r\n")[2])
    assert b"Content-Length: %d\r\n" % length in head
    assert head.partition(b"\r\n\r\n")[2].startswith(b"HTTP/1.1 200 OK")


async def test_nothing_changed_and_no_content_have_no_length(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        etag = (await gw.fetch("GET", "/openapi.json")).headers["Etag"].encode()
        unchanged = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\nIf-None-Match: " + etag + b"\r\n\r\n"
        options = b"OPTIONS /live HTTP/1.1\r\nHost: x\r\n\r\n"
        answers = await gw.raw(unchanged + options + LAST)
    first, second, last = answers.split(b"HTTP/1.1 ")[1:]
    assert first.startswith(b"304")
    assert second.startswith(b"204")
    assert last.endswith(ALIVE)
    for bodiless in (first, second):
        assert b"Content-Length" not in bodiless
        assert bodiless.endswith(b"\r\n\r\n")


# --- bounds ---


async def test_trailers_are_read_and_forgotten(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        request = intent(gw, "hello", CHUNKED.strip())
        assert request.endswith(b"0\r\n\r\n")
        answers = await gw.raw(request[:-2] + b"Authorization: Bearer nonsense\r\nHost: y\r\n\r\n" + LAST)
    assert said(answers) == ["hello"]
    assert answers.endswith(ALIVE)


@pytest.mark.parametrize(
    "endless", [b"0\r\nX-Trailer: " + b"x" * 100_000, b"1;" + b"x" * 100_000, b"0\r\n" + b"X-T: y\r\n" * 10_000]
)
async def test_framing_without_end_is_refused(tmp_path: Path, endless: bytes) -> None:
    async with running(tmp_path) as gw:
        head = intent(gw, "", CHUNKED.strip()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        answer = await gw.raw(head + endless)
        assert gw.gateway.requests_running == 0
    assert answer.startswith(b"HTTP/1.1 400")
    assert answer.count(b"HTTP/1.1") == 1


async def test_chunks_of_one_byte_are_a_body(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        head = intent(gw, "", CHUNKED.strip()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        body = json.dumps({"text": "x" * 4000}).encode()
        chunks = b"".join(b"1\r\n%c\r\n" % byte for byte in body)
        answers = await gw.raw(head + chunks + b"0\r\n\r\n" + LAST)
    assert said(answers) == ["x" * 4000]


async def test_what_is_broken_behind_a_request_does_not_cost_its_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answers = await gw.raw(intent(gw, "one") + intent(gw, "two") + b"nonsense\r\n\r\n" + LIVE)
    assert said(answers) == ["one", "two"]
    assert answers.count(b"HTTP/1.1 400") == 1
    assert ALIVE not in answers


async def test_what_is_broken_in_a_request_that_waits_costs_it_alone(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        head = intent(gw, "", CHUNKED.strip()).partition(b"\r\n\r\n")[0] + b"\r\n\r\n"
        answers = await gw.raw(intent(gw, "one") + head + b"zz\r\n" + LIVE)
    assert said(answers) == ["one"]
    assert answers.count(b"HTTP/1.1 400") == 1
    assert ALIVE not in answers


# --- the end ---


async def test_a_client_that_leaves_is_noticed_while_its_request_is_served(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.speech_gate, gw.script.speech_pieces = asyncio.Event(), 1000
        body = b'{"text": "hello"}'
        bearer = f"Authorization: {gw.bearer()['Authorization']}\r\n".encode()
        head = b"POST /api/v1/voice/tts HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + bearer
        async with client(gw) as (reader, writer):
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await reader.readuntil(b"\r\n\r\n")
        gw.script.speech_gate.set()  # the next pieces cannot be written
        await gw.script.speech_cancelled.wait()
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        assert not gw.server.connections.open


async def test_a_client_that_takes_nothing_is_let_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection_module, "WRITE_TIMEOUT_S", 0.05)
    async with running(tmp_path) as gw:
        gw.script.speech_pieces = 2000  # 9 MB: more than the kernel keeps for us
        body = b'{"text": "hello", "format": "pcm"}'
        bearer = f"Authorization: {gw.bearer()['Authorization']}\r\n".encode()
        head = b"POST /api/v1/voice/tts HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + bearer
        async with client(gw) as (_, writer):
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await only_connection(gw)
            while gw.server.connections.open:
                await asyncio.sleep(0.005)
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        assert gw.script.speech_cancelled.is_set()


@pytest.mark.fast_reader("Tornado waits for as long as it takes")
@pytest.mark.parametrize("pieces", [2000, 1], ids=["while it is written", "at its end"])
async def test_a_client_that_takes_its_answer_slowly_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    """As who plays it. Once it takes less than the least, it is let go."""
    least = connection_module.LEAST_TAKEN_BYTES
    unsent = [number * least for number in range(20, 1, -1)]  # then no less
    seen: list[int] = []

    def look(_transport: object) -> int:
        seen.append(unsent[min(len(seen), len(unsent) - 1)])
        return seen[-1]

    for name in ("WRITE_TIMEOUT_S", "LINGER_S"):
        monkeypatch.setattr(connection_module, name, 0.001)
    async with running(tmp_path) as gw:
        gw.script.speech_pieces = pieces
        body = b'{"text": "hello", "format": "pcm"}'
        bearer = f"Authorization: {gw.bearer()['Authorization']}\r\nConnection: close\r\n".encode()
        head = b"POST /api/v1/voice/tts HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\n" + bearer
        async with client(gw) as (_, writer):
            monkeypatch.setattr(connection_module, "unsent_bytes", look)
            writer.write(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await only_connection(gw)
            while gw.server.connections.open:
                await asyncio.sleep(0.001)
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
    assert unsent[-1] in seen


async def test_who_is_answered_while_the_gateway_drains_is_asked_to_leave(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        kept = await gw.raw(LIVE + LAST)
        gw.gateway.draining = True
        for request in (LIVE, intent(gw, "hello")):
            answer = await gw.raw(request)  # reads up to the end
            assert answer.startswith(b"HTTP/1.1 200 OK")
            assert b"\r\nConnection: close\r\n" in answer
    assert kept.count(b"Connection: close") == 1


async def test_a_stopped_server_takes_no_more_and_ends_what_it_has(tmp_path: Path) -> None:
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        writer.write(LIVE)
        await reader.readuntil(ALIVE)
        gw.server.stop()
        with pytest.raises(OSError, match="111"):
            await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(LIVE)
        await reader.readuntil(ALIVE)  # who is connected is still served
        await gw.server.close_all_connections()
        with contextlib.suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_a_mistake_of_ours_is_logged_and_ends_the_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(_self: object, _path: str) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr("server.routes.Router.match", broken)
    async with running(tmp_path) as gw:
        assert await gw.raw(LIVE) == b""
        assert not gw.server.connections.open
    assert any(record.exc_info and record.exc_info[0] is ZeroDivisionError for record in caplog.records)


async def test_a_last_answer_arrives_though_more_was_sent(tmp_path: Path) -> None:
    """A connection closed with bytes unread is reset, and the client's kernel drops what it had for it."""
    async with running(tmp_path) as gw:
        for _ in range(20):
            assert (await gw.raw(LAST + LIVE * 5000)).endswith(ALIVE)


# --- and becomes a WebSocket ---


async def test_what_comes_right_behind_a_handshake_is_the_websockets(tmp_path: Path) -> None:
    from tests.support.gateway import running_gateway

    def masked(text: bytes) -> bytes:
        return bytes((0x81, 0x80 | len(text))) + b"\0\0\0\0" + text  # RFC 6455, section 5.2: a mask of zeros

    handshake = (
        b"GET /ws/early HTTP/1.1\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
        b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    )
    with running_gateway(tmp_path, EMBEDDED="false", REDIS_URL="") as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        host = f"Host: 127.0.0.1:{gateway.port}\r\n".encode()
        bearer = f"Authorization: Bearer {gateway.token}\r\n".encode()
        writer.write(
            b"GET /live HTTP/1.1\r\n"
            + host
            + b"\r\n"
            + handshake
            + host
            + bearer
            + b"\r\n"
            + masked(b'{"type":"ping","t":1}')
        )
        answer = await reader.readuntil(b"pong")
        writer.close()
    alive, _, switched = answer.partition(b"HTTP/1.1 101")
    assert alive.endswith(ALIVE)
    assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in switched  # the answer of RFC 6455, section 1.3
    assert b"session.ready" in switched
