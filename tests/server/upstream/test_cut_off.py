"""Calls that a dying service or a proxy cuts off: the same error, whatever frame or status tells of it."""

from __future__ import annotations

import asyncio
import struct
from contextlib import aclosing, asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import pytest

from protos import intent_pb2
from server.services import SERVICES
from server.upstream import BreakerPolicy, CircuitState, ServiceEndpoint, Upstream
from streaming.ports import ServiceError
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import FakeServices, Fault

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    Cut = Callable[[asyncio.WriteTransport, int], None]

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, RST_STREAM, SETTINGS, PING, GOAWAY = 0, 1, 3, 4, 6, 7
END_STREAM, ACK, END_HEADERS = 1, 1, 4
UNREAD = 7  # the service has not looked at the call: gRPC makes it once more by itself


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """RFC 9113, section 4.1."""
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


def field(name: bytes, value: bytes) -> bytes:
    """RFC 7541, section 6.2.2: a literal with a name of its own."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def begun(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, field(b":status", b"200") + field(b"content-type", b"application/grpc"))


class Peer(asyncio.Protocol):
    """Speaks HTTP/2 as far as a call's headers, then cuts it off."""

    def __init__(self, cut: Cut) -> None:
        self._cut = cut
        self._unread = b""
        self._preface_left = len(PREFACE)

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        transport.write(frame(SETTINGS, 0, 0))

    def data_received(self, data: bytes) -> None:
        self._unread += data[self._preface_left :]
        self._preface_left = max(0, self._preface_left - len(data))
        while len(head := self._unread[:9]) == 9 and len(self._unread) >= (end := 9 + int.from_bytes(head[:3], "big")):
            payload, self._unread = self._unread[9:end], self._unread[end:]
            kind, flags, stream = head[3], head[4], int.from_bytes(head[5:], "big")
            if kind in {SETTINGS, PING} and not flags & ACK:
                self._transport.write(frame(kind, ACK, 0, payload if kind == PING else b""))
            elif kind == HEADERS:
                self._cut(self._transport, stream)


@asynccontextmanager
async def peer(cut: Cut) -> AsyncIterator[str]:
    server = await asyncio.get_running_loop().create_server(lambda: Peer(cut), "127.0.0.1", 0)
    async with server:
        yield f"127.0.0.1:{server.sockets[0].getsockname()[1]}"


def reset(code: int) -> Cut:
    return lambda writer, stream: writer.write(frame(RST_STREAM, 0, stream, struct.pack(">I", code)))


def reset_after_headers(writer: asyncio.WriteTransport, stream: int) -> None:
    writer.write(begun(stream) + frame(RST_STREAM, 0, stream, struct.pack(">I", 2)))


def end_without_status(writer: asyncio.WriteTransport, stream: int) -> None:
    writer.write(begun(stream) + frame(DATA, END_STREAM, stream))


def go_away(writer: asyncio.WriteTransport, stream: int) -> None:
    writer.write(frame(GOAWAY, 0, 0, struct.pack(">II", stream, 0)))
    writer.close()


def close(writer: asyncio.WriteTransport, _stream: int) -> None:
    writer.close()


def bad_gateway(writer: asyncio.WriteTransport, stream: int) -> None:
    writer.write(frame(HEADERS, END_HEADERS | END_STREAM, stream, field(b":status", b"502")))


CUTS = {f"reset {code}": reset(code) for code in (*range(UNREAD), *range(UNREAD + 1, 11), 12, 13)} | {
    cut.__name__: cut for cut in (reset_after_headers, end_without_status, go_away, close, bad_gateway)
}


@pytest.mark.parametrize("how", CUTS)
async def test_a_task_whose_call_is_cut_off_is_unavailable(how: str) -> None:
    async with peer(CUTS[how]) as address:
        upstream = Upstream([ServiceEndpoint(name, address, 5_000) for name in SERVICES])
        await upstream.start()
        try:
            with pytest.raises(ServiceError) as broken:
                async with aclosing(upstream.services.os.execute("t", "ls", {}, CALLER)) as events:
                    await anext(events)
        finally:
            await upstream.close(0)
    told = broken.value
    assert (told.code, told.message) == ("UNAVAILABLE", "the command executor cannot be reached")
    assert (told.retryable, told.nothing_ran) == (True, False)


async def test_what_a_service_that_ends_has_cancelled_is_made_again_or_counts_against_it() -> None:
    observed = Observed()
    cancelled = Fault(grpc.StatusCode.CANCELLED, "CANCELLED")
    policy = BreakerPolicy(min_faults=3, open_s=60)
    async with FakeServices("intent", "os") as fakes, fakes.upstream(observer=observed, policy=policy) as upstream:
        fakes.intent.faults.append(cancelled)
        fakes.intent.answer("Recognize", intent_pb2.RecognizeResponse(intent="greet"))
        assert (await upstream.services.intent.recognize("hello", "", CALLER)).intent == "greet"
        fakes.os.faults.extend([cancelled] * 3)
        for code in ("UNAVAILABLE", "UNAVAILABLE", "UNAVAILABLE", "CIRCUIT_OPEN"):
            with pytest.raises(ServiceError, match=code):
                await anext(upstream.services.os.execute("t", "ls", {}, CALLER))
        assert upstream.circuits()["os"] is CircuitState.OPEN
        assert len(fakes.os.calls) == 3
    assert observed.statuses() == [*["UNAVAILABLE", "OK"], *["UNAVAILABLE"] * 3, "CIRCUIT_OPEN"]
