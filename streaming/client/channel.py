"""One channel of a client's session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

from pydantic_core import ValidationError

from streaming.client.arguments import check_frame, check_position, wrong
from streaming.client.errors import GatewayError
from streaming.protocol import events, messages
from streaming.protocol.errors import LocalProtocolError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from streaming.protocol.client import ClientConnection
    from streaming.protocol.messages import Message


class GatewayChannel:
    """One channel. Iterate it for its messages and frames; it ends after `channel.closed`, which is kept in `closed`."""

    def __init__(self, connection: ClientConnection, wake: Callable[[], None], number: int) -> None:
        self.number = number
        self.closed: messages.ChannelClosed | None = None
        self._connection = connection
        self._wake = wake
        self._lost = False
        self._events: asyncio.Queue[Message | events.AudioReceived | None] = asyncio.Queue()

    def send_audio(self, frame: bytes, pts_ms: int = 0) -> None:
        """Queue a microphone frame."""
        self._do(self._connection.send_audio, check_frame(frame), check_position("pts_ms", pts_ms))

    def send_text(self, text: str) -> None:
        """Queue a piece of text to speak."""
        self._do(self._connection.send_text, text)

    def commit(self) -> None:
        """End the utterance here (push-to-talk)."""
        self._do(self._connection.commit)

    def end(self) -> None:
        """End the input."""
        self._do(self._connection.end_channel)

    def cancel(self) -> None:
        """Stop the channel now."""
        self._do(self._connection.cancel_channel)

    def credit(self, frame: bytes) -> None:
        """Return a frame's credit when it was passed to a loudspeaker that cannot report its position."""
        self._do(self._connection.played, len(check_frame(frame)))

    def played(self, frame: bytes, played_ms: int) -> None:
        """Return the credit of a frame that was played or discarded, and report the position in the utterance."""
        n_bytes, position_ms = len(check_frame(frame)), check_position("played_ms", played_ms)
        self._do(self._connection.played, n_bytes)
        self._do(self._connection.report_playback, position_ms)

    def _do(self, what: Callable[..., None], *arguments: Any) -> None:
        """Do it to this channel. A lost one's number may be another's in the next session. Raises GatewayError."""
        if self._lost:
            return
        try:
            what(self.number, *arguments)
        except LocalProtocolError as broken:
            raise GatewayError("WRONG_STATE", str(broken), "See the kinds of channels in the protocol.") from None
        except ValidationError as invalid:
            first = invalid.errors()[0]
            raise wrong(str(first["loc"][-1]), first["input"], f"{first['msg']}.") from None
        self._wake()

    def deliver(self, event: Message | events.AudioReceived) -> None:
        """Queue an event; called by the client's reader."""
        if isinstance(event, messages.TurnPaused | messages.TurnInterrupted):
            self._drop_stale(event.generation)
        self._events.put_nowait(event)
        if isinstance(event, messages.ChannelClosed):
            self.closed = event
            self._events.put_nowait(None)

    def _drop_stale(self, generation: int) -> None:
        """Drop stale audio that waits here behind a slow loudspeaker."""
        for _ in range(self._events.qsize()):
            event = self._events.get_nowait()
            if isinstance(event, events.AudioReceived) and event.generation < generation:
                self.credit(event.payload)
            else:
                self._events.put_nowait(event)

    def lose(self) -> None:
        """The session is lost, and the channel with it."""
        self._lost = True
        self._events.put_nowait(None)

    async def __aiter__(self) -> AsyncIterator[Message | events.AudioReceived]:
        """Messages and frames until the channel is closed, or lost with its session."""
        while (event := await self._events.get()) is not None:
            yield event
        self._events.put_nowait(None)  # for whoever iterates again
