"""Unreadable requests get an error response, one metric and one log line; then the connection is closed."""

from __future__ import annotations

import asyncio
import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
from tornado.httputil import HTTPHeaders

from server.telemetry import log
from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.rest import Rest

HOST = b"Host: x\r\n"
JSON = b"Content-Type: application/json\r\n"
INTENT = b"POST /api/v1/agent/intent HTTP/1.1\r\n" + HOST + JSON
STT = b"POST /api/v1/voice/stt HTTP/1.1\r\n" + HOST + b"Content-Type: multipart/form-data; boundary=b\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
LIVE = b"GET /live HTTP/1.1\r\n" + HOST


@pytest.fixture
def lines(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `account` has logged."""
    written: list[dict[str, Any]] = []
    monkeypatch.setattr("handlers.answer.tell", lambda _logger, _level, _event, fields: written.append(fields))
    return written


def answered(answer: bytes) -> tuple[int, HTTPHeaders, dict[str, Any]]:
    """Status, headers and document of one complete answer, behind which nothing follows."""
    head, _, body = answer.partition(b"\r\n\r\n")
    start, _, rows = head.decode().partition("\r\n")
    headers = HTTPHeaders.parse(rows)
    assert int(headers["Content-Length"]) == len(body)
    assert headers["Content-Type"] == "application/problem+json"
    assert headers["Connection"] == "close"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "jarvis-gateway"
    document = json.loads(body)
    assert document["request_id"] == headers["X-Request-ID"]
    return int(start.split()[1]), headers, document


def counted(gw: Rest) -> list[tuple[str, str, str]]:
    """Method, endpoint and status of every answer that was counted."""
    text = gw.gateway.metrics.render()[1].decode()
    rows = [row for row in text.splitlines() if row.startswith("api_gateway_requests_total{")]
    found = []
    for row in rows:
        labels, _, number = row.partition("{")[2].rpartition("} ")
        named = dict(label.split("=") for label in labels.split(","))
        one = (named["method"].strip('"'), named["endpoint"].strip('"'), named["status"].strip('"'))
        found += [one] * int(float(number))
    return found


@pytest.mark.parametrize(
    ("request_bytes", "words"),
    [
        (b"nonsense\r\n\r\n", "method"),
        (b"GET /live HTTP/2.0\r\n" + HOST + b"\r\n", "version"),
        (LIVE + b"no colon here\r\n\r\n", "header"),
        (LIVE + b"Bad Name: x\r\n\r\n", "header"),
        (LIVE + b"X-A: a\x00b\r\n\r\n", "header value"),
        (LIVE + b" folded\r\n\r\n", "whitespace"),
        (b"GET /live HTTP/1.1\r\n\r\n", "Missing Host"),
        (LIVE + b"Host: y\r\n\r\n", "Multiple host"),
        (b"GET /live HTTP/1.1\r\nHost: " + b"x" * 301 + b"\r\n\r\n", "Invalid host"),
        (LIVE + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello", "Content-Length"),
        (LIVE + b"Content-Length: -1\r\n\r\n", "Content-Length"),
        (LIVE + b"Content-Length: 1\r\n" + CHUNKED, "present with"),
        (INTENT + b"Transfer-Encoding: gzip, chunked\r\n\r\n", "Transfer-Encoding"),
        (INTENT + CHUNKED + b"zz\r\n", "chunk"),
        (INTENT + CHUNKED + b"2\r\n{}!!", "chunk"),
        (INTENT + CHUNKED + b"1" * 200, "chunk"),
        (STT + CHUNKED + b"zz\r\n", "chunk"),
    ],
    ids=lambda value: repr(value)[-40:],
)
async def test_what_cannot_be_read_is_answered(
    tmp_path: Path, lines: list[dict[str, Any]], request_bytes: bytes, words: str
) -> None:
    async with running(tmp_path) as gw:
        status, _, document = answered(await gw.raw(request_bytes))
        assert gw.gateway.requests_running == 0
        before = [row for row in counted(gw) if row[1] != "/metrics"]
    assert (status, document["code"]) == (400, "BAD_REQUEST")
    assert words.lower() in document["detail"].lower()
    where = "/api/v1/agent/intent" if b"gzip" in request_bytes else "(none)"  # that one could be read, and is refused
    assert [row[1:] for row in before] == [(where, "400")]
    assert [(line["status"], line["code"], line["request_id"]) for line in lines] == [
        (400, "BAD_REQUEST", document["request_id"])
    ]


async def test_its_request_id_is_kept_where_it_could_be_read(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        named = b"X-Request-ID: request-0001\r\n"
        _, _, no_host = answered(await gw.raw(b"GET /live HTTP/1.1\r\n" + named + b"\r\n"))
        _, _, chunk = answered(await gw.raw(INTENT + named + CHUNKED + b"zz\r\n"))
    assert (no_host["request_id"], no_host["instance"]) == ("request-0001", "/live")
    assert (chunk["request_id"], chunk["instance"]) == ("request-0001", "/api/v1/agent/intent")


async def test_a_head_gets_no_body(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(b"HEAD /live HTTP/1.1\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 400 Bad Request\r\n")
    assert answer.endswith(b"\r\n\r\n")


@pytest.mark.parametrize("size", [33_000, 70_000, 1024 * 1024])
async def test_headers_that_are_too_large_are_answered(tmp_path: Path, lines: list[dict[str, Any]], size: int) -> None:
    async with running(tmp_path) as gw:
        status, _, document = answered(await gw.raw(LIVE + b"X-Long: " + b"x" * size + b"\r\n\r\n"))
        assert [row[1:] for row in counted(gw)] == [("(none)", "431")]
    assert (status, document["code"]) == (431, "HEADERS_TOO_LARGE")
    assert [line["status"] for line in lines] == [431]


async def test_a_later_request_of_a_connection_is_answered_too(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(LIVE + b"\r\n" + LIVE + b"X-Long: " + b"x" * 40_000 + b"\r\n\r\n")
    first, _, second = answer.partition(b'{"status":"ok"}')
    assert first.startswith(b"HTTP/1.1 200 OK")
    assert answered(second)[0] == 431


async def test_a_client_that_never_stops_sending_is_let_go(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        _, writer = await asyncio.open_connection("127.0.0.1", gw.port)

        async def send_on() -> None:
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()

        with pytest.raises(ConnectionError):
            await send_on()
        writer.close()


async def test_a_file_whose_chunks_break_is_one_answer(tmp_path: Path, lines: list[dict[str, Any]]) -> None:
    async with running(tmp_path) as gw:
        bearer = f"Authorization: {gw.bearer()['Authorization']}\r\n".encode()
        status, _, _ = answered(await gw.raw(STT + bearer + CHUNKED + b"3\r\n--b\r\nzz\r\n"))
        assert gw.gateway.requests_running == 0
        assert counted(gw) == [("POST", "(none)", "400")]
    assert status == 400
    assert [line["status"] for line in lines] == [400]


def test_tornados_own_notes_on_what_it_cannot_read_are_no_second_line(capsys: pytest.CaptureFixture[str]) -> None:
    log.configure("INFO", "json")
    logging.getLogger("tornado.general").info("Malformed HTTP message")
    assert "Malformed" not in capsys.readouterr().err
