"""Clients that leave: no cyclic garbage remains, and a client that left during a request is logged."""

from __future__ import annotations

import asyncio
import gc
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.net.http.test_connection import ALIVE, HOST, LAST, LIVE, client, intent
from tests.server.net.http.test_unreadable import counted, lines
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.rest import Rest

__all__ = ["lines"]

ENDLESS_HEAD = b"GET /live HTTP/1.1\r\n" + HOST + b"%x: y\r\n" * 90
UNAUTHORISED = b"GET /api/v1/agent/intents HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
NOWHERE = b"GET /nowhere HTTP/1.1\r\n" + HOST + b"Connection: close\r\n\r\n"
NONSENSE = b"nonsense\r\n\r\n"
UPLOAD = (
    b"POST /api/v1/agent/intent HTTP/1.1\r\n" + HOST + b"Content-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
)
CHUNKED = UPLOAD.replace(b"Content-Length: 9\r\n\r\n{", b"Transfer-Encoding: chunked\r\n\r\n9\r\n{")
HEALTH, METRICS = (b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n" for path in (b"/health", b"/metrics"))
AUDIO_PART = b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\n' + bytes(100)


async def come_and_go(gw: Rest, wire: bytes, number: int) -> None:
    """So many connections that send this and leave."""
    for _ in range(number):
        async with client(gw) as (reader, writer):
            writer.write(wire)
            writer.write_eof()
            await reader.read()
    while gw.server.connections.open or gw.gateway.requests_running:
        await asyncio.sleep(0.001)
    await asyncio.sleep(0)


async def left_by_fifty(gw: Rest, wire: bytes) -> dict[str, int]:
    """How many of our objects fifty connections that send this and leave have left, where it was about one for each."""
    await come_and_go(gw, wire, 5)
    gc.collect()
    gc.disable()
    try:
        before = ours()
        await come_and_go(gw, wire, 50)
        left = ours() - before
    finally:
        gc.enable()
    return {kind: number for kind, number in left.items() if number >= 40}


def ours() -> Counter[str]:
    """How many objects of each of our types there are."""
    modules = ("server.", "handlers.", "tornado.http", "httptools")
    kinds = (type(thing) for thing in gc.get_objects())
    return Counter(f"{kind.__module__}.{kind.__name__}" for kind in kinds if str(kind.__module__).startswith(modules))


@pytest.mark.parametrize(
    "wire", [LAST, ENDLESS_HEAD, UNAUTHORISED, NOWHERE, NONSENSE, UPLOAD, b"intent"], ids=lambda wire: repr(wire[:24])
)
async def test_a_closed_connection_leaves_no_garbage(tmp_path: Path, wire: bytes) -> None:
    async with running(tmp_path) as gw:
        if wire == b"intent":
            wire = intent(gw, "hello", b"Connection: close")
        assert await left_by_fifty(gw, wire) == {}


@pytest.mark.parametrize("path", [b"/api/v1/voice/stt", b"/v1/audio/transcriptions"])
@pytest.mark.parametrize("form", [AUDIO_PART, b"nonsense" * 10], ids=["form", "nonsense"])
async def test_an_upload_that_is_cut_leaves_no_garbage(tmp_path: Path, path: bytes, form: bytes) -> None:
    """Its client was admitted, and left in the middle."""
    async with running(tmp_path) as gw:
        head = b"POST " + path + b" HTTP/1.1\r\n" + HOST + b"Connection: close\r\n"
        head += f"Authorization: {gw.bearer()['Authorization']}\r\nContent-Length: {len(form) + 100}\r\n".encode()
        head += b"Content-Type: multipart/form-data; boundary=x\r\n\r\n"
        assert await left_by_fifty(gw, head + form) == {}


@pytest.mark.parametrize("number", [100, 101])
async def test_a_head_has_a_hundred_lines(tmp_path: Path, number: int) -> None:
    head = LAST[:-2] + b"".join(b"x-%d: y\r\n" % at for at in range(number - 2)) + b"\r\n"
    async with running(tmp_path) as gw:
        answer = await gw.raw(head)
    assert answer.startswith(b"HTTP/1.1 200" if number == 100 else b"HTTP/1.1 431")


@pytest.mark.parametrize("connection", [b"close", b"keep-alive"])  # the second is read in one pass
@pytest.mark.parametrize("length", [256, 257])
async def test_a_header_has_a_short_name(tmp_path: Path, connection: bytes, length: int) -> None:
    """Names are remembered as they are spelled."""
    head = b"GET /live HTTP/1.1\r\n" + HOST + b"Connection: " + connection + b"\r\n" + b"x" * length + b": y\r\n\r\n"
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        writer.write(head)
        answer = await reader.readline()
    assert answer.startswith(b"HTTP/1.1 200" if length == 256 else b"HTTP/1.1 431")


@pytest.mark.parametrize("path", [b"/live", b"/health", b"/openapi.json"])
async def test_a_client_that_sends_no_more_gets_its_answers(tmp_path: Path, path: bytes) -> None:
    """As `nc -N` does, and `printf … | nc`."""
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        request = b"GET " + path + b" HTTP/1.1\r\n" + HOST + b"\r\n"
        writer.write(request + intent(gw, "hello") + LIVE)
        writer.write_eof()
        answers = await reader.read()
        assert answers.count(b"HTTP/1.1 200 OK") == 3
        assert answers.endswith(ALIVE)
        while gw.server.connections.open:
            await asyncio.sleep(0.001)


@pytest.mark.parametrize("cut", [UPLOAD, CHUNKED, LIVE[:-1], b"GE"], ids=["length", "chunked", "head", "line"])
@pytest.mark.parametrize("whole", [HEALTH * 2, METRICS, LIVE * 99 + METRICS], ids=["two", "slow", "many"])
async def test_requests_before_one_that_is_cut_get_their_answers_and_the_connection_closes(
    tmp_path: Path, whole: bytes, cut: bytes
) -> None:
    async with running(tmp_path) as gw, client(gw) as (reader, writer):
        writer.write(whole + cut)
        writer.write_eof()
        assert (await reader.read()).count(b"HTTP/1.1 200 OK") == whole.count(b"GET ")
        while gw.server.connections.open:
            await asyncio.sleep(0.001)
        assert gw.gateway.requests_running == 0
        of_cut = [("POST", "/api/v1/agent/intent", "499")] if cut in {UPLOAD, CHUNKED} else []
        assert [row for row in counted(gw) if row[0] == "POST"] == of_cut


async def test_a_client_that_leaves_in_its_upload_is_a_line(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    async with running(tmp_path) as gw:
        async with client(gw) as (_, writer):
            writer.write(UPLOAD)
            while not len(gw.server.connections.for_body):
                await asyncio.sleep(0.001)
        while gw.server.connections.open:
            await asyncio.sleep(0.001)
        assert counted(gw) == [("POST", "/api/v1/agent/intent", "499")]
    assert [(line["status"], line["endpoint"]) for line in lines] == [(499, "/api/v1/agent/intent")]
