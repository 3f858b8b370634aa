"""A client's WebSocket, on the protocol core of `websockets`.

Sixty clients share one process, so a connection has to be cheap: with Tornado's client, the clients' own CPU was most of what a
mass resume seemed to take. Nothing here looks up a name or starts a thread or a task.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from websockets.client import ClientProtocol
from websockets.exceptions import InvalidHandshake, InvalidStatus, ProtocolError
from websockets.frames import Frame, Opcode
from websockets.http11 import Response
from websockets.protocol import State
from websockets.uri import parse_uri

HALF_A_FRAME = b"\x82\xfe\x02"  # a binary frame whose length has not come completely
NO_REPLY = 1006  # what RFC 6455 calls a connection that ended without a close frame


class RefusedHandshakeError(Exception):
    """The server answered with another status than 101."""


@dataclass(frozen=True)
class Address:
    """Where to connect to, and as whom."""

    host: str
    port: int
    path: str
    token: str


class Wire(asyncio.Protocol):
    """One socket. `connected_at` and `opened_at`: `time.monotonic()` at the end of the TCP and the WebSocket handshake."""

    def __init__(self, address: Address) -> None:
        uri = parse_uri(f"ws://{address.host}:{address.port}{address.path}")
        self._core = ClientProtocol(uri, subprotocols=["jarvis.v1"], max_size=None)  # type: ignore[list-item]  # a NewType of str
        self._token = address.token
        self._transport: asyncio.Transport | None = None
        self._opening: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._messages: asyncio.Queue[str | bytes | None] = asyncio.Queue()
        self._parts: list[bytes] = []  # of a message that comes in fragments
        self._is_text = False
        self.connected_at = self.opened_at = 0.0

    async def opened(self) -> None:
        """Return behind the 101. Raises RefusedHandshakeError or OSError."""
        await self._opening

    async def read(self) -> str | bytes | None:
        """The next message; None at the end."""
        return await self._messages.get()

    def send(self, data: str | bytes) -> None:
        """One message; nothing on a socket that has ended."""
        if self._core.state is not State.OPEN:
            return
        if isinstance(data, bytes):
            self._core.send_binary(data)
        else:
            self._core.send_text(data.encode())
        self._flush()

    def close(self) -> None:
        """Say goodbye."""
        if self._core.state is State.OPEN:
            self._core.send_close(1000)
            self._flush()

    def cut(self, *, half_a_frame: bool = False) -> None:
        """The connection ends without a close frame; `half_a_frame`: in the middle of a frame."""
        if self._transport is None:
            return
        if half_a_frame:
            self._transport.write(HALF_A_FRAME)
        self._transport.close()

    @property
    def close_code(self) -> int | None:
        """The server's; None if it sent none."""
        code = self._core.close_code
        return None if code == NO_REPLY else code

    @property
    def flaw(self) -> str:
        """How the server broke RFC 6455; empty if it did not."""
        return repr(self._core.parser_exc) if isinstance(self._core.parser_exc, ProtocolError) else ""

    # --- of asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.connected_at = time.monotonic()
        request = self._core.connect()
        request.headers["Authorization"] = f"Bearer {self._token}"
        self._core.send_request(request)
        self._flush()

    def data_received(self, data: bytes) -> None:
        self._core.receive_data(data)
        self._take()
        self._flush()

    def eof_received(self) -> bool:
        self._core.receive_eof()
        self._take()
        self._flush()
        return False

    def connection_lost(self, _error: Exception | None) -> None:
        self._core.receive_eof()
        if not self._opening.done():
            self._opening.set_exception(ConnectionResetError("closed during the handshake"))
            self._opening.exception()  # nobody may be waiting any more
        self._messages.put_nowait(None)

    def _take(self) -> None:
        for event in self._core.events_received():
            if isinstance(event, Response):
                self._on_response()
            elif isinstance(event, Frame):
                self._on_frame(event)
        if self._core.close_expected() and self._transport is not None and self._core.state is not State.OPEN:
            self._transport.close()

    def _on_response(self) -> None:
        failed = self._core.handshake_exc
        if failed is None:
            self.opened_at = time.monotonic()
            self._opening.set_result(None)
            return
        refused = RefusedHandshakeError(
            f"status {failed.response.status_code}" if isinstance(failed, InvalidStatus) else str(failed)
        )
        self._opening.set_exception(refused if isinstance(failed, InvalidHandshake) else failed)
        self._opening.exception()

    def _on_frame(self, frame: Frame) -> None:
        if frame.opcode not in {Opcode.TEXT, Opcode.BINARY, Opcode.CONT}:
            return
        if frame.opcode is not Opcode.CONT:
            self._is_text = frame.opcode is Opcode.TEXT
        self._parts.append(bytes(frame.data))
        if frame.fin:
            data = b"".join(self._parts)
            self._parts.clear()
            self._messages.put_nowait(data.decode() if self._is_text else data)

    def _flush(self) -> None:
        if self._transport is None or self._transport.is_closing():
            self._core.data_to_send()
            return
        for data in self._core.data_to_send():
            if data:
                self._transport.write(data)
            elif self._transport.can_write_eof():
                self._transport.write_eof()


async def connect(address: Address, within_s: float) -> Wire:
    """An open socket. Raises TimeoutError, OSError, RefusedHandshakeError; a socket that comes too late is hung up."""
    wire: Wire | None = None
    try:
        async with asyncio.timeout(within_s):
            _, wire = await asyncio.get_running_loop().create_connection(
                lambda: Wire(address), address.host, address.port
            )
            await wire.opened()
    except BaseException:
        if wire is not None:
            wire.cut()
        raise
    return wire
