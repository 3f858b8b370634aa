"""A bare client of a FrameSocket, over a real connection."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tornado.web import Application

from server.net.websocket.limits import SocketLimits
from tests.server.net.websocket.client_frames import CLOSE
from tests.server.net.websocket.echo import Echo, HandshakeConnection

if TYPE_CHECKING:
    from collections.abc import AsyncIterator


HANDSHAKE = (
    b"GET /echo HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
MESSAGE_BYTES = 64 * 1024
LIMITS = SocketLimits(message_bytes=MESSAGE_BYTES, write_buffer_bytes=1024 * 1024)


@dataclass
class Client:
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    handler: Any  # at the other end

    def send(self, *data: bytes) -> None:
        self.writer.write(b"".join(data))

    async def frame(self) -> tuple[int, bytes]:
        """Opcode and payload of the next frame; it is final and unmasked."""
        first, length = await self.reader.readexactly(2)
        assert first & 0xF0 == 0x80
        if length == 126:
            length = int.from_bytes(await self.reader.readexactly(2), "big")
        elif length == 127:
            length = int.from_bytes(await self.reader.readexactly(8), "big")
        return first & 15, await self.reader.readexactly(length)

    async def close_code(self) -> int:
        """Of the close frame that comes next; behind it the server ends the connection."""
        opcode, payload = await self.frame()
        assert opcode == CLOSE
        assert await self.reader.read() == b""
        return int.from_bytes(payload[:2], "big") or 1005


@asynccontextmanager
async def connected(
    early: bytes = b"", limits: SocketLimits = LIMITS, handler: type[Echo] = Echo
) -> AsyncIterator[Client]:
    kind = type("LimitedEcho", (handler,), {"limits": limits})
    made: asyncio.Queue[Any] = asyncio.Queue()
    app = Application()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: HandshakeConnection(app, kind, made.put_nowait), "127.0.0.1", 0)
    reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
    try:
        writer.write(HANDSHAKE + early)
        head = await reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 101")
        assert b"s3pPLMBiTxaQ9kYGzzhZRbK+xOo=" in head  # RFC 6455, section 1.3
        yield Client(reader, writer, await made.get())
    finally:
        writer.close()
        server.close()
