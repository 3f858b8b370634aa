"""A lane's way to its client."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.domain import SpeechBegins
from streaming.jarvis.translate import as_message

if TYPE_CHECKING:
    from streaming.domain import LaneEvent
    from streaming.jarvis.live import LiveSession


MAX_AHEAD_BYTES = 65_536  # of what a slow client may do without


class ChannelOutlet:
    """Domain events become messages here, and frames of audio get their generation."""

    def __init__(self, live: LiveSession, channel: int, generation: int = 0) -> None:
        self._live = live
        self._connection = live.connection
        self._channel = channel
        self.generation = generation
        self.closed = False  # a lane that is still being stopped speaks to nobody
        self.sound: tuple[str, int] | None = None  # encoding and rate of the newest utterance
        self._pts_ms = -1  # of the newest frame queued
        self.credit = asyncio.Event()  # set when the client grants more, or the generation rises

    def tell(self, event: LaneEvent) -> None:
        """Queue an event."""
        if type(event) is SpeechBegins:
            self.sound = (event.encoding, event.sample_rate_hz)
        if not self.closed:
            self._connection.send_message(as_message(event, self._channel, self.generation))
            self._live.wake()

    def play(self, frame: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Queue a frame of audio."""
        if not self.closed:
            self._pts_ms = pts_ms
            self._connection.send_audio(self._channel, frame, self.generation, pts_ms, last=last)
            self._live.wake()

    async def room(self, n_bytes: int) -> None:
        """Wait for credit, or for an interruption."""
        if self._connection.is_paid(self._channel, self._pts_ms + 1):
            return  # it left at another replica, and did not arrive
        generation = self.generation
        while self._connection.sendable_bytes(self._channel) < n_bytes and self.generation == generation:
            self.credit.clear()
            await self.credit.wait()

    async def caught_up(self) -> None:
        """As Outlet."""
        while self._connection.queue_bytes > MAX_AHEAD_BYTES and not self.closed:
            self._live.sent.clear()
            await self._live.sent.wait()

    def taken(self, n_bytes: int) -> None:
        """Give the microphone's credit back."""
        self._connection.taken(self._channel, n_bytes, self._live.needed_frame(self._channel))
        self._live.wake()

    def interrupt(self) -> None:
        """Raise the generation: audio queued so far is dropped here, audio sent is stale at the client."""
        if not self.closed:
            self.generation = self._connection.interrupt(self._channel)
        self.credit.set()
