"""Connections that are ended without waiting for the client."""

from __future__ import annotations

import asyncio
import socket
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from server.net.cut import cut, unsent_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

LITTLE_ROOM = 4096


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[socket.socket, asyncio.Transport]]:
    """A client's socket with little room, and our transport."""
    loop = asyncio.get_running_loop()
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, LITTLE_ROOM)
        client.connect(listening.getsockname())
        ours, _ = listening.accept()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 256 * 1024)
        client.setblocking(False)
        transport, _ = await loop.connect_accepted_socket(asyncio.Protocol, ours)
        try:
            yield client, transport
        finally:
            transport.abort()


async def read_all(client: socket.socket) -> None:
    while await asyncio.get_running_loop().sock_recv(client, 1 << 20):
        pass


async def test_who_does_not_read_is_reset_although_the_kernel_has_taken_everything() -> None:
    async with connected() as (client, transport):
        transport.write(bytes(64 * 1024))
        assert transport.get_write_buffer_size() == 0
        assert unsent_bytes(transport) > 0
        cut(transport)
        with pytest.raises(ConnectionResetError):
            await read_all(client)


async def test_who_has_received_everything_gets_the_end() -> None:
    loop = asyncio.get_running_loop()
    async with connected() as (client, transport):
        transport.write(b"bye")
        while unsent_bytes(transport):
            await asyncio.sleep(0)
        cut(transport)
        assert await loop.sock_recv(client, 99) == b"bye"
        assert await loop.sock_recv(client, 99) == b""
        assert unsent_bytes(transport) == 0  # of a closed one
