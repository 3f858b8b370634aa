"""A context's only way out: a SOCKS5 proxy (RFC 1928) in this process that checks every address before it connects.

Chromium resolves no names itself, so the address that was checked is the one connected to. A page, redirect or script that points
into a closed network gets no connection, whatever its name resolves to on another look-up. The same holds for all requests of a
page: redirects, frames, scripts, WebSockets, workers.

Each context has a gate of its own, with so many connections. Further ones wait in the kernel's queue, where they cost this process
no descriptor. All end with the context.
"""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
import struct
from collections import Counter, OrderedDict
from contextlib import contextmanager, suppress
from ipaddress import IPv4Address, IPv6Address
from typing import TYPE_CHECKING

from server.embedded.addresses import Address, Reach, address_reach, host_reach, literal
from server.embedded.callers import own_context

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter
    from collections.abc import Callable, Iterator

    from server.embedded.browser.lookups import SessionNames

log = logging.getLogger(__name__)

VERSION = 5
NO_AUTHENTICATION, CONNECT = 0, 1
IPV4, DOMAIN, IPV6 = 1, 3, 4
OK, NOT_ALLOWED, HOST_UNREACHABLE, REFUSED, NO_COMMAND = 0, 2, 4, 5, 7

MAX_CONNECTIONS = 40  # of a context: Chromium opens 32 through a proxy at once, and WebSockets beside them
CONNECT_TIMEOUT_S = 10.0
LINGER_S = 1.0  # for what is still to be sent when one side has left
UNUSED_S = 15.0  # for the browser to begin; a page can have it keep a hundred connections that it never uses
STALLED_S = 60.0  # for a server to take something of what a page sends
ACCEPT_AGAIN_S = 1.0  # after the descriptors have run out
PIECE_BYTES = 64 * 1024
MAX_REASONS = 256  # kept for the messages of failed pages
_NOWHERE = struct.pack("!BIH", IPV4, 0, 0)  # the bound address, which browsers ignore


class NoWayError(Exception):
    """No connection. `reply`: SOCKS's reply code; the text is ours."""

    def __init__(self, reply: int, words: str) -> None:
        super().__init__(words)
        self.reply = reply


class BrowserGate:
    """Listens on 127.0.0.1. Cloud metadata is always closed; private networks are open if `private_open`.

    `max_connections`: at once; each has two descriptors.
    """

    def __init__(self, names: SessionNames, *, private_open: bool, max_connections: int = MAX_CONNECTIONS) -> None:
        self._closed = {Reach.METADATA} if private_open else {Reach.METADATA, Reach.PRIVATE, Reach.LOOPBACK}
        self._names = names
        self._places = asyncio.Semaphore(max_connections)
        self._listening: asyncio.Task[None] | None = None
        self._serving: set[asyncio.Task[None]] = set()
        self._reasons: OrderedDict[str, str] = OrderedDict()
        self._connecting: Counter[str] = Counter()  # look-ups and connections that are being made, by host
        self.on_change: Callable[[], None] | None = None  # told when one of these begins or ends

    def start(self) -> str:
        """Start; returns the address for --proxy-server. Raises OSError."""
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        # serves all tasks of the context, whoever's is the first
        self._listening = asyncio.get_running_loop().create_task(
            self._listen(listener), name="browser gate", context=own_context("browser")
        )
        return f"socks5://127.0.0.1:{listener.getsockname()[1]}"

    async def cut(self) -> None:
        """End the connections of now, once their pages are closed. Chromium keeps unused ones for minutes."""
        if serving := tuple(self._serving):
            for one in serving:
                one.cancel()
            await asyncio.wait(serving)

    async def stop(self) -> None:
        """End all connections, and take no more."""
        if self._listening is not None:
            self._listening.cancel()
            await asyncio.wait((self._listening,))

    def is_connecting(self, host: str) -> bool:
        """True while a request to the host waits for the network."""
        return self._connecting[_key(host)] > 0

    def reason(self, host: str) -> str:
        """Why the last connection to a host failed; empty if it did not."""
        return self._reasons.get(_key(host), "")

    async def _listen(self, listener: socket.socket) -> None:
        """Accept a connection whenever there is a place. Not by asyncio's server, which accepts all."""
        with listener:
            async with asyncio.TaskGroup() as connections:
                while True:
                    await self._places.acquire()
                    connection = await _accepted(listener)
                    serving = connections.create_task(self._serve(connection), name="browser connection")
                    self._serving.add(serving)
                    serving.add_done_callback(self._served)

    def _served(self, serving: asyncio.Task[None]) -> None:
        self._serving.discard(serving)
        self._places.release()

    async def _serve(self, connection: socket.socket) -> None:
        """Serve one connection of the browser."""
        try:
            reader, writer = await asyncio.open_connection(sock=connection, limit=PIECE_BYTES)
        except OSError:
            connection.close()
            return
        try:
            await self._relay(reader, writer)
        except (OSError, EOFError, BaseExceptionGroup):
            pass  # one side has closed, which is how connections end
        except Exception:
            log.exception("a connection of the browser failed")
        finally:
            await _end(writer)

    async def _relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            host, port = await _request(reader, writer)
        try:
            with self._told(host):
                there_reader, there_writer = await self._connected(reader, host, port)
        except NoWayError as refusal:
            self._remember(host, str(refusal))
            writer.write(bytes((VERSION, refusal.reply, 0)) + _NOWHERE)
            await writer.drain()
            return
        self._reasons.pop(host, None)
        try:
            writer.write(bytes((VERSION, OK, 0)) + _NOWHERE)
            async with asyncio.TaskGroup() as group:
                back = group.create_task(_pump(there_reader, writer), name=f"from {host}")
                async with asyncio.timeout(UNUSED_S):
                    there_writer.write(await reader.read(PIECE_BYTES))
                await _pump(reader, there_writer, stalled_s=STALLED_S)
                # The browser has left. The server has so long to do the same; it may keep its end open for ever.
                await asyncio.wait((back,), timeout=LINGER_S)
                back.cancel()
        finally:
            await _end(there_writer)

    async def _connected(self, reader: StreamReader, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
        """Connect, unless the browser leaves meanwhile: it says nothing before it has the reply. Raises NoWayError, EOFError."""
        loop = asyncio.get_running_loop()
        connecting = loop.create_task(self._connect(host, port), name=f"connect to {host}")
        leaving = loop.create_task(reader.read(1), name=f"leave {host}")
        try:
            await asyncio.wait((connecting, leaving), return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                raise EOFError
            return connecting.result()
        finally:
            connecting.cancel()
            leaving.cancel()
            await asyncio.wait((connecting, leaving))

    @contextmanager
    def _told(self, host: str) -> Iterator[None]:
        self._count(host, 1)
        try:
            yield
        finally:
            self._count(host, -1)

    def _count(self, host: str, change: int) -> None:
        self._connecting[host] += change
        self._connecting += Counter()  # without those that have none
        if self.on_change is not None:
            self.on_change()

    def _remember(self, host: str, words: str) -> None:
        self._reasons[host] = words
        if len(self._reasons) > MAX_REASONS:
            self._reasons.popitem(last=False)

    async def _connect(self, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
        """Connect to the first address that answers. Raises NoWayError."""
        if host_reach(host) in self._closed:
            raise NoWayError(NOT_ALLOWED, f"{host} is in a network that is closed to the browser")
        addresses = await self._resolve(host)
        allowed = [address for address in addresses if address_reach(address) not in self._closed]
        if not allowed:
            raise NoWayError(NOT_ALLOWED, f"{host} leads into a network that is closed to the browser")
        for address in allowed:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await asyncio.open_connection(str(address), port, limit=PIECE_BYTES)
        raise NoWayError(REFUSED, f"nothing answers at {host}:{port}")

    async def _resolve(self, host: str) -> list[Address]:
        """The addresses of a host. Raises NoWayError."""
        spelled = literal(host)
        if spelled is not None:
            return [spelled]
        try:
            return await self._names.look_up(host)
        except (OSError, ValueError):
            raise NoWayError(HOST_UNREACHABLE, f"there is no host {host}, or no network") from None


def _key(host: str) -> str:
    """As the browser spells it to the gate."""
    spelled = literal(host)
    return str(spelled) if spelled else host.lower()


async def _request(reader: StreamReader, writer: StreamWriter) -> tuple[str, int]:
    """Read greeting and request (RFC 1928 sections 3 and 4). Raises EOFError if it is not SOCKS5."""
    version, methods = await reader.readexactly(2)
    if version != VERSION or NO_AUTHENTICATION not in await reader.readexactly(methods):
        raise EOFError
    writer.write(bytes((VERSION, NO_AUTHENTICATION)))
    _, command, _, kind = await reader.readexactly(4)
    host = await _host(reader, kind)
    (port,) = struct.unpack("!H", await reader.readexactly(2))
    if command != CONNECT:
        writer.write(bytes((VERSION, NO_COMMAND, 0)) + _NOWHERE)
        raise EOFError
    return host, port


async def _host(reader: StreamReader, kind: int) -> str:
    if kind == IPV4:
        return str(IPv4Address(await reader.readexactly(4)))
    if kind == IPV6:
        return str(IPv6Address(await reader.readexactly(16)))
    if kind != DOMAIN:
        raise EOFError
    (length,) = await reader.readexactly(1)
    return (await reader.readexactly(length)).decode("ascii", "replace").lower().rstrip(".")


async def _accepted(listener: socket.socket) -> socket.socket:
    """The next connection, also if there are no descriptors for it now."""
    loop = asyncio.get_running_loop()
    told = False
    while True:
        try:
            connection, _ = await loop.sock_accept(listener)
        except OSError as error:
            if not told:
                log.warning("the browser's connections wait: %s", error.strerror)
            told = True
            await asyncio.sleep(ACCEPT_AGAIN_S)
        else:
            return connection


async def _pump(source: StreamReader, sink: StreamWriter, stalled_s: float | None = None) -> None:
    """Copy one direction to its end, and pass the end on. `stalled_s`: how long the sink may take nothing."""
    while data := await source.read(PIECE_BYTES):
        sink.write(data)
        async with asyncio.timeout(stalled_s):
            await sink.drain()
    with suppress(OSError):
        sink.write_eof()


async def _end(writer: StreamWriter) -> None:
    """Close a connection. What cannot be sent soon is dropped: asyncio itself would wait for it with the descriptor open."""
    try:
        writer.close()
        with suppress(OSError):  # also its kind TimeoutError
            async with asyncio.timeout(LINGER_S):
                await writer.wait_closed()
    finally:
        writer.transport.abort()


def connections_of_each(contexts: int) -> int:
    """So many that all contexts together take half of the process's descriptors at most, two for each."""
    soft_limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft_limit == resource.RLIM_INFINITY:
        return MAX_CONNECTIONS
    return max(1, min(MAX_CONNECTIONS, soft_limit // (4 * contexts)))
