"""Responses end where they must, and contain no injected lines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from handlers.answer import answer_headers, start_line
from server.net.http.exchange import head_bytes
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("version", "connection", "answered"),
    [
        ("1.1", "close", b"\r\nConnection: close\r\n"),
        ("1.1", "Close", b"\r\nConnection: close\r\n"),
        ("1.0", "", b""),
        ("1.0", "close", b""),
    ],
)
async def test_a_connection_that_shall_end_ends(tmp_path: Path, version: str, connection: str, answered: bytes) -> None:
    header = f"Connection: {connection}\r\n" if connection else ""
    async with running(tmp_path) as gw:
        answer = await gw.raw(f"GET /live HTTP/{version}\r\nHost: x\r\n{header}\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert answered in answer
    assert answer.endswith(b'{"status":"ok"}')


@pytest.mark.parametrize("value", ["a\r\nSet-Cookie: b", "a\nb", "a\rb"])
def test_a_header_that_ends_its_line_is_not_written(value: str) -> None:
    headers = answer_headers("request-0001")
    headers["Location"] = value
    with pytest.raises(ValueError, match="line end"):
        head_bytes(start_line(302), headers)


async def test_a_header_that_cannot_be_written_is_our_failure_and_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def serve(self: Any, *_path: str) -> None:
        self._headers["X-Broken"] = "a\r\nSet-Cookie: b"
        await self.reply(200, b"{}")

    monkeypatch.setattr("handlers.ops.RootHandler.serve", serve)
    async with running(tmp_path) as gw:
        answer = await gw.raw(
            b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET /live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
    first, _, second = answer.partition(b"HTTP/1.1 200 OK")
    assert first.startswith(b"HTTP/1.1 500")
    assert b"Set-Cookie" not in first
    assert second.endswith(b'{"status":"ok"}')
