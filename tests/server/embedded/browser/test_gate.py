"""The browser's gate to the network, tested by SOCKS5."""

from __future__ import annotations

import asyncio
import resource
import socket
import struct
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.browser import gate as browser_gate
from server.embedded.browser import lookups as browser_lookups
from server.embedded.browser.gate import (
    HOST_UNREACHABLE,
    NO_COMMAND,
    NOT_ALLOWED,
    OK,
    REFUSED,
    BrowserGate,
    connections_of_each,
)
from server.embedded.browser.lookups import Names

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator


@asynccontextmanager
async def gate(*, private_open: bool = True, max_connections: int = 9) -> AsyncIterator[tuple[BrowserGate, int]]:
    one = BrowserGate(Names().of("ann"), private_open=private_open, max_connections=max_connections)
    address = one.start()
    try:
        yield one, int(address.rpartition(":")[2])
    finally:
        await one.stop()


@asynccontextmanager
async def echo() -> AsyncIterator[int]:
    """A server that sends back what it gets, in capitals, and ends when its client does."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(1000):
            writer.write(data.upper())
        writer.write(b"!")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def ask(
    port: int, host: str | bytes, to: int, command: int = 1
) -> tuple[int, asyncio.StreamReader, asyncio.StreamWriter]:
    """The gate's reply to a request; `host` as bytes is an address."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"\x05\x02\x02\x00")
    assert await reader.readexactly(2) == b"\x05\x00"
    kind = {4: 1, 16: 4}[len(host)] if isinstance(host, bytes) else 3
    spelled = host if isinstance(host, bytes) else bytes((len(host),)) + host.encode("ascii")
    writer.write(bytes((5, command, 0, kind)) + spelled + struct.pack("!H", to))
    version, reply, _, _ = (await reader.readexactly(10))[:4]
    assert version == 5
    return reply, reader, writer


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """Name → addresses, instead of the network's name server."""
    known: dict[str, list[str]] = {}

    def getaddrinfo(host: str, _port: Any, **_: Any) -> list[Any]:
        if host not in known:
            raise socket.gaierror(socket.EAI_NONAME, "unknown")
        return [(0, 0, 0, "", (address, 0)) for address in known[host]]

    monkeypatch.setattr(browser_lookups, "getaddrinfo", getaddrinfo)
    return known


async def test_bytes_go_both_ways_and_so_does_the_end() -> None:
    async with gate() as (_, port), echo() as to:
        for host in ("127.0.0.1", b"\x7f\x00\x00\x01", "127.1"):
            reply, reader, writer = await ask(port, host, to)
            assert reply == OK
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"HELLO"
            writer.write_eof()
            assert await reader.read() == b"!"
            writer.close()


async def test_a_name_is_judged_by_what_it_resolves_to(names: dict[str, list[str]]) -> None:
    names |= {"rebound.example": ["127.0.0.1"], "cloud.example": ["169.254.169.254"]}
    async with gate(private_open=False) as (one, port), echo() as to:
        for host in ("rebound.example", "cloud.example"):
            reply, *_ = await ask(port, host, to)
            assert (reply, one.reason(host)) == (
                NOT_ALLOWED,
                f"{host} leads into a network that is closed to the browser",
            )
        for closed in ("127.0.0.1", "localhost", b"\x00" * 15 + b"\x01", b"\x0a\x00\x00\x01"):
            reply, *_ = await ask(port, closed, to)
            assert reply == NOT_ALLOWED


async def test_only_the_open_addresses_of_a_name_are_tried(names: dict[str, list[str]]) -> None:
    names["both.example"] = ["169.254.169.254", "127.0.0.1"]
    async with gate() as (one, port), echo() as to:
        reply, _, writer = await ask(port, "both.example", to)
        assert (reply, one.reason("both.example")) == (OK, "")
        writer.close()


async def test_what_is_not_there_is_told_apart(names: dict[str, list[str]]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, and not listening
        to = taken.getsockname()[1]
        async with gate() as (one, port):
            reply, *_ = await ask(port, "127.0.0.1", to)
            assert (reply, one.reason("127.1")) == (REFUSED, f"nothing answers at 127.0.0.1:{to}")
            reply, *_ = await ask(port, "nowhere.example", 80)
            assert (reply, one.reason("Nowhere.example")) == (
                HOST_UNREACHABLE,
                "there is no host nowhere.example, or no network",
            )
            assert names == {}


async def test_reasons_are_forgotten_in_time(monkeypatch: pytest.MonkeyPatch, names: dict[str, list[str]]) -> None:
    monkeypatch.setattr(browser_gate, "MAX_REASONS", 2)
    async with gate() as (one, port):
        for host in ("a.example", "b.example", "c.example"):
            await ask(port, host, 80)
        assert [bool(one.reason(host)) for host in ("a.example", "b.example", "c.example")] == [False, True, True]
        assert names == {}


async def test_other_commands_and_other_protocols_are_turned_away() -> None:
    async with gate() as (_, port):
        reply, reader, _ = await ask(port, "127.0.0.1", 80, command=3)
        assert reply == NO_COMMAND
        assert await reader.read() == b""
        for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x04\x01", b"\x05\x01\x02", b"\x05\x01\x00\x05\x01\x00\x09", b""):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(words)
            writer.write_eof()
            assert await reader.read() in {b"", b"\x05\x00"}
            writer.close()


async def test_stop_cuts_what_is_connected() -> None:
    async with gate() as (one, port), echo() as to:
        reply, reader, _ = await ask(port, "127.0.0.1", to)
        assert reply == OK
        await one.stop()
        assert await reader.read() == b""


@contextmanager
def silent() -> Iterator[int]:
    """A server whose kernel takes connections, and which neither reads, answers nor closes."""
    with socket.create_server(("127.0.0.1", 0), backlog=100) as listener:
        yield listener.getsockname()[1]


def descriptors() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_a_server_that_keeps_its_end_open_keeps_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that started and aborted requests to such a server used up the process's descriptors."""
    monkeypatch.setattr(browser_gate, "LINGER_S", 0.01)
    with silent() as to:
        async with gate() as (_, port):
            before = descriptors()
            for _ in range(40):  # ten at a time, so some wait until there is a place
                reply, _, writer = await ask(port, "127.0.0.1", to)
                assert reply == OK
                writer.close()
            while descriptors() > before:
                await asyncio.sleep(0.01)


async def test_a_server_that_takes_nothing_keeps_no_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(browser_gate, "LINGER_S", 0.01)
    monkeypatch.setattr(browser_gate, "STALLED_S", 0.01)
    with silent() as to:
        async with gate(max_connections=1) as (_, port):
            for _ in range(3):
                reply, _, writer = await ask(port, "127.0.0.1", to)
                assert reply == OK
                with suppress(OSError):
                    writer.write(bytes(16 * 1024 * 1024))  # more than the kernel keeps
                    await writer.drain()
                writer.transport.abort()


async def test_a_connection_that_is_not_used_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that opened WebSockets in numbers left these behind, and they took every place of the next page."""
    monkeypatch.setattr(browser_gate, "UNUSED_S", 0.01)
    with silent() as to:
        async with gate(max_connections=1) as (_, port):
            for _ in range(3):
                reply, reader, writer = await ask(port, "127.0.0.1", to)
                assert reply == OK
                assert await reader.read() == b""
                writer.close()


async def test_a_gate_that_was_cut_takes_new_connections() -> None:
    with silent() as to:
        async with gate(max_connections=2) as (one, port):
            opened = [await ask(port, "127.0.0.1", to) for _ in range(2)]
            before = descriptors()
            await one.cut()
            for _, reader, writer in opened:
                assert await reader.read() == b""
                writer.transport.abort()
            while descriptors() > before - 4:
                await asyncio.sleep(0.01)
            reply, _, writer = await ask(port, "127.0.0.1", to)
            assert reply == OK
            writer.transport.abort()


async def test_a_session_has_so_many_connections_and_more_wait() -> None:
    loop = asyncio.get_running_loop()
    with silent() as to:
        async with gate(max_connections=2) as (_, port), gate() as (_, port_of_another), echo() as elsewhere:
            held = [await ask(port, "127.0.0.1", to) for _ in range(2)]
            before = descriptors()
            waiting = [loop.create_task(ask(port, "127.0.0.1", to), name="waits") for _ in range(5)]
            for _ in range(3):
                reply, _, writer = await ask(port_of_another, "127.0.0.1", elsewhere)
                assert reply == OK
                writer.transport.abort()
            assert not any(one.done() for one in waiting)
            while descriptors() > before + len(waiting):  # these are their own; the gate has none for them
                await asyncio.sleep(0.01)
            for _, _, writer in held:
                writer.transport.abort()
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            assert {one.result()[0] for one in done} == {OK}
            for one in waiting:
                one.cancel()


async def test_all_connections_end_with_the_session() -> None:
    with silent() as to:
        before = descriptors()
        async with gate() as (_, port):
            opened = [await ask(port, "127.0.0.1", to) for _ in range(3)]
        for _, reader, writer in opened:
            assert await reader.read() == b""
            writer.transport.abort()
        while descriptors() > before:
            await asyncio.sleep(0.01)


async def test_descriptors_that_have_run_out_are_one_log_line(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(browser_gate, "ACCEPT_AGAIN_S", 0.01)
    async with gate() as (_, port), echo() as to:
        await ask(port, "127.0.0.1", to)
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        writing = socket.socket()
        writing.setblocking(False)
        resource.setrlimit(resource.RLIMIT_NOFILE, (writing.fileno() + 1, hard))
        try:
            await asyncio.get_running_loop().sock_connect(writing, ("127.0.0.1", port))
            while not caplog.records:
                await asyncio.sleep(0.01)
            await asyncio.sleep(0.1)  # it tries again several times
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        assert [record.getMessage() for record in caplog.records] == [
            "the browser's connections wait: Too many open files"
        ]
        writing.close()
        assert (await ask(port, "127.0.0.1", to))[0] == OK


@pytest.mark.parametrize(
    ("soft_limit", "each"), [(1024, 32), (256, 8), (20_000, 40), (16, 1), (resource.RLIM_INFINITY, 40)]
)
def test_all_contexts_together_take_half_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft_limit: int, each: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _which: (soft_limit, soft_limit))
    assert connections_of_each(8) == each
