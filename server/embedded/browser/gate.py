"""The browser's only way out: a SOCKS5 proxy (RFC 1928) in this process that checks every address before it connects.

Chromium resolves no names itself, so the address that was checked is the one connected to. A page, redirect or script that points
into a closed network gets no connection, whatever its name resolves to on another look-up. The same holds for all requests of a
page: redirects, frames, scripts, WebSockets, workers.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import OrderedDict
from contextlib import suppress
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import TYPE_CHECKING

from server.embedded.addresses import Address, Reach, address_reach, host_reach, literal

if TYPE_CHECKING:
    from asyncio import StreamReader, StreamWriter

VERSION = 5
NO_AUTHENTICATION, CONNECT = 0, 1
IPV4, DOMAIN, IPV6 = 1, 3, 4
OK, NOT_ALLOWED, HOST_UNREACHABLE, REFUSED, NO_COMMAND = 0, 2, 4, 5, 7

CONNECT_TIMEOUT_S = 10.0
PIECE_BYTES = 64 * 1024
MAX_REASONS = 256  # kept for the messages of failed pages
_NOWHERE = struct.pack("!BIH", IPV4, 0, 0)  # the bound address, which browsers ignore


class NoWayError(Exception):
    """No connection. `reply`: SOCKS's reply code; the text is ours."""

    def __init__(self, reply: int, words: str) -> None:
        super().__init__(words)
        self.reply = reply


class BrowserGate:
    """Listens on 127.0.0.1. Cloud metadata is always closed; private networks are open if `private_open`."""

    def __init__(self, *, private_open: bool) -> None:
        self._closed = {Reach.METADATA} if private_open else {Reach.METADATA, Reach.PRIVATE, Reach.LOOPBACK}
        self._server: asyncio.Server | None = None
        self._writers: set[StreamWriter] = set()
        self._reasons: OrderedDict[str, str] = OrderedDict()

    async def start(self) -> str:
        """Start; returns the address for --proxy-server."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        return f"socks5://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        """Cut all connections."""
        if self._server is not None:
            self._server.close()
            for writer in list(self._writers):
                writer.close()
            await self._server.wait_closed()

    def reason(self, host: str) -> str:
        """Why the last connection to a host failed; empty if it did not."""
        spelled = literal(host)
        return self._reasons.get(str(spelled) if spelled else host.lower(), "")

    async def _serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        """Serve one connection of the browser."""
        self._writers.add(writer)
        try:
            await self._relay(reader, writer)
        except (OSError, EOFError, BaseExceptionGroup):
            pass  # one side has closed, which is how connections end
        finally:
            self._writers.discard(writer)
            writer.close()

    async def _relay(self, reader: StreamReader, writer: StreamWriter) -> None:
        host, port = await _request(reader, writer)
        try:
            there_reader, there_writer = await self._connect(host, port)
        except NoWayError as refusal:
            self._remember(host, str(refusal))
            writer.write(bytes((VERSION, refusal.reply, 0)) + _NOWHERE)
            await writer.drain()
            return
        self._reasons.pop(host, None)
        self._writers.add(there_writer)
        try:
            writer.write(bytes((VERSION, OK, 0)) + _NOWHERE)
            async with asyncio.TaskGroup() as group:
                group.create_task(_pump(reader, there_writer), name=f"to {host}")
                group.create_task(_pump(there_reader, writer), name=f"from {host}")
        finally:
            self._writers.discard(there_writer)
            there_writer.close()

    def _remember(self, host: str, words: str) -> None:
        self._reasons[host] = words
        if len(self._reasons) > MAX_REASONS:
            self._reasons.popitem(last=False)

    async def _connect(self, host: str, port: int) -> tuple[StreamReader, StreamWriter]:
        """Connect to the first address that answers. Raises NoWayError."""
        if host_reach(host) in self._closed:
            raise NoWayError(NOT_ALLOWED, f"{host} is in a network that is closed to the browser")
        addresses = await _resolve(host)
        allowed = [address for address in addresses if address_reach(address) not in self._closed]
        if not allowed:
            raise NoWayError(NOT_ALLOWED, f"{host} leads into a network that is closed to the browser")
        for address in allowed:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(CONNECT_TIMEOUT_S):
                    return await asyncio.open_connection(str(address), port, limit=PIECE_BYTES)
        raise NoWayError(REFUSED, f"nothing answers at {host}:{port}")


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


async def _resolve(host: str) -> list[Address]:
    """All addresses of a host. Raises NoWayError."""
    spelled = literal(host)
    if spelled is not None:
        return [spelled]
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(CONNECT_TIMEOUT_S):
            found = await loop.getaddrinfo(host, None, type=socket.SOCK_STREAM)
    except (OSError, ValueError, TimeoutError):  # ValueError: a zero byte in the name, or no domain
        raise NoWayError(HOST_UNREACHABLE, f"there is no host {host}, or no network") from None
    return [ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


async def _pump(source: StreamReader, sink: StreamWriter) -> None:
    """Copy one direction to its end, and pass the end on."""
    while data := await source.read(PIECE_BYTES):
        sink.write(data)
        await sink.drain()
    with suppress(OSError):
        sink.write_eof()
