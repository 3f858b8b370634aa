"""Clients that close their sending side while their answer is written to them: `nc -N`, a shell's pipe, a socket's `shutdown`."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from server.net.http import exchange
from streaming.ports import TaskProgress, TaskResult
from tests.server.net.http.test_connection import only_connection
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.rest import Rest

pytestmark = pytest.mark.fast_reader("Tornado takes it for one that has left")

TTS, SPEECH, BROWSER = "/api/v1/voice/tts", "/v1/audio/speech", "/api/v1/executor/browser/action"
TEXTS = {
    TTS: b'{"text": "hello"}',
    SPEECH: b'{"model": "tts-1", "voice": "alloy", "input": "hello", "response_format": "wav"}',
}
PIECES = 30


def post(gw: Rest, path: str, body: bytes, version: str = "1.1", headers: str = "") -> bytes:
    """A request."""
    head = f"POST {path} HTTP/{version}\r\nHost: x\r\nAuthorization: Bearer {gw.token('operator')}\r\n{headers}"
    return f"{head}Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


async def whole(gw: Rest, request: bytes) -> int:
    """How many bytes its answer has."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return len(answer)


@pytest.mark.parametrize("path", [TTS, SPEECH])
@pytest.mark.parametrize("version", ["1.1", "1.0"])
async def test_sound_is_written_on(tmp_path: Path, path: str, version: str) -> None:
    async with running(tmp_path) as gw:
        gw.script.speech_pieces = PIECES
        request = post(gw, path, TEXTS[path], version, "Connection: close\r\n")
        expected = await whole(gw, request)
        gate = gw.script.speech_gate = asyncio.Event()
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(request)
        first = await reader.readuntil(b"RIFF")
        connection = await only_connection(gw)
        writer.write_eof()
        while not connection.half_closed:
            await asyncio.sleep(0.001)
        gate.set()
        rest = await reader.read()
        writer.close()
    assert len(first + rest) == pytest.approx(expected, abs=5)  # the time that it took is in a header


async def test_who_takes_it_slowly_has_not_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However long no piece can be written."""
    async with running(tmp_path) as gw:
        gw.script.speech_pieces = 2000  # 9 MB: more than the kernel keeps for us
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port, limit=4096)
        writer.write(post(gw, TTS, b'{"text": "hello", "format": "pcm"}', "1.0"))
        await reader.readuntil(b"\r\n\r\n")
        connection = await only_connection(gw)
        while not connection._blocked:
            await asyncio.sleep(0.001)
        with monkeypatch.context() as patient:
            patient.setattr(exchange, "SILENCE_S", 0.001)
            writer.write_eof()
            while not connection.half_closed:
                await asyncio.sleep(0.001)
            for _ in range(20):
                await asyncio.sleep(0.001)
        assert len(await reader.read()) == 2000 * 4410
        writer.close()


async def test_what_is_behind_it_in_the_pipeline_is_answered(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gate = gw.script.speech_gate = asyncio.Event()
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(post(gw, TTS, TEXTS[TTS]) + post(gw, BROWSER, b'{"action": "go"}'))
        await reader.readuntil(b"RIFF")
        connection = await only_connection(gw)
        writer.write_eof()
        while not connection.half_closed:
            await asyncio.sleep(0.001)
        gate.set()
        rest = await reader.read()
        writer.close()
        assert b"\r\n0\r\n\r\nHTTP/1.1 200 OK\r\n" in rest
        assert len(gw.script.executed) == 1


async def test_a_client_of_http_1_0_gets_all_events(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "ASK_S", 0.001)
    async with running(tmp_path) as gw:
        gate = gw.script.task_gate = asyncio.Event()
        gw.script.task_events = [TaskProgress("opening", 10.0), TaskResult("ok", {})]
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(post(gw, BROWSER, b'{"action": "go"}', "1.0", "Accept: text/event-stream\r\n"))
        await reader.readuntil(b"event: progress\n")
        writer.write_eof()
        await reader.readuntil(b"\n\n:\n\n:\n\n")
        gate.set()
        assert b"event: result\n" in await reader.read()
        writer.close()
        assert not gw.script.cancelled.is_set()
