"""The attributes of a `FrameSocket`, of which there are too many for a dict that instances share the keys of, and what Tornado asks of it."""

from __future__ import annotations

from socket import TCP_NODELAY
from typing import TYPE_CHECKING, Any

from server.net.websocket import frames
from server.net.websocket.transport import set_tcp

if TYPE_CHECKING:
    import asyncio

    from tornado.httputil import HTTPHeaders
    from tornado.iostream import IOStream
    from tornado.websocket import WebSocketHandler


class SocketSlots:
    """Saves 1.3 KiB for each idle socket. What is missing here is in the dict that Tornado's class has."""

    __slots__ = (
        "_beat",
        "_caught_up",
        "_count_limit",
        "_counted_since",
        "_crowd",
        "_crowded_s",
        "_deadline",
        "_deliver",
        "_discarded_bytes",
        "_drained",
        "_frames",
        "_heard",
        "_limits",
        "_loop",
        "_lost",
        "_pinged",
        "_pings",
        "_pong",
        "_reader",
        "_rounds",
        "_seat",
        "_share",
        "_subprotocol",
        "_told",
        "_turn_at",
        "_turns",
        "_unfinished",
        "_waits",
        "_wakes",
        "close_code",
        "close_reason",
        "express",
        "paused",
        "transport",
    )

    close_code: int | None
    close_reason: str | None
    # Tornado's class sets these, in its dict. Declared, they need none when compiled (server/hot_path.py).
    stream: IOStream | None
    client_terminated: bool
    server_terminated: bool
    handler: WebSocketHandler
    transport: asyncio.Transport
    _reader: frames.FrameReader
    _subprotocol: str | None

    @property
    def selected_subprotocol(self) -> str | None:
        """The subprotocol chosen by the handler."""
        return self._subprotocol

    def ignore(self) -> None:
        """The client broke the rules, and is about to be told so: read nothing more from it (section 7.1.7), not even its close frame."""
        self._reader.end()

    def write_ping(self, data: bytes) -> None:
        """Send a ping; the payload has at most 125 bytes."""
        self.transport.write(frames.ping_frame(data))

    def _deliver_singly(self, messages: list[Any]) -> None:
        for message in messages:
            self.handler.on_message(message)

    def set_nodelay(self, x: bool) -> None:
        """Set TCP_NODELAY, although the loop's transports have already done so."""
        set_tcp(self.transport, TCP_NODELAY, on=x)

    def _process_server_headers(self, key: str | bytes, headers: HTTPHeaders) -> None:  # noqa: ARG002 - for clients only
        raise AssertionError("a server's socket has no server")

    async def _receive_frame_loop(self) -> None:
        """Not used: frames come by `data_received`."""
