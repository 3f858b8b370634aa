"""A look over a session's shoulder: everything on its wire, as far as the one who looks can keep up.

The session never waits: what it says is put into a bounded queue, by reference. What does not fit is counted, and said.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from streaming.jarvis.redaction import redacted
from streaming.ports import Missed, SeenAudio, SeenFrame, SeenMessage
from streaming.protocol import frame as wire_frame

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator

    from streaming.jarvis.channels import Channels
    from streaming.ports import Seen, Side
    from streaming.protocol.server import ServerConnection
    from streaming.residents import Tap

MAX_WAITING_BYTES = 1_048_576  # of one observer: some ten seconds of a busy session with its audio
OBSERVE = (
    '{"type":"observe.'  # what an observing channel is told is not told on: two who watch each other would never end
)


class Watched(Protocol):
    """The live session, as far as observers look at it."""

    connection: ServerConnection
    work: Channels
    taps: list[Tap]


class Watch:
    """A tap on one session, and what it saw (`seen`), until the session ends or moves to another replica."""

    def __init__(self, live: Watched, *, audio: bool) -> None:
        self._live = live
        self._audio = audio
        self._waiting: deque[tuple[Side, str | bytes]] = deque()
        self._bytes = 0
        self._missed_messages = self._missed_bytes = 0
        self._wake = asyncio.Event()
        self._over = False
        self._sounds = live.work.sounds()
        self._told: SeenAudio | None = None
        live.taps.append(self)

    # --- the session's side: see tap.Tap ---

    def received(self, data: str | bytes, at_s: float) -> None:  # noqa: ARG002 - a live copy needs no times
        self._put("client", data)

    def sent(self, batch: list[str | bytes], at_s: float) -> None:  # noqa: ARG002 - as above
        for data in batch:
            self._put("server", data)

    def ended(self) -> None:
        self._over = True
        self._wake.set()

    def _put(self, direction: Side, data: str | bytes) -> None:
        is_text = isinstance(data, str)
        if not is_text and not self._audio:
            return
        if self._bytes + len(data) > MAX_WAITING_BYTES:
            self._missed_messages += is_text
            self._missed_bytes += 0 if is_text else len(data)
            return
        self._waiting.append((direction, data))
        self._bytes += len(data)
        self._wake.set()

    # --- the observer's side ---

    async def seen(self) -> AsyncGenerator[Seen]:
        """In order; `Missed` stands where something is missing. Closing it ends the look."""
        try:
            async for seen in self._all():
                yield seen
        finally:
            if self in self._live.taps:
                self._live.taps.remove(self)

    async def _all(self) -> AsyncIterator[Seen]:
        while self._waiting or not self._over:
            self._wake.clear()
            if not self._waiting:
                await self._wake.wait()
                continue
            direction, data = self._waiting.popleft()
            self._bytes -= len(data)
            for seen in self._seen(direction, data):
                yield seen
            if not self._waiting and (self._missed_messages or self._missed_bytes):
                missed = Missed(self._missed_messages, self._missed_bytes)
                self._missed_messages = self._missed_bytes = 0
                yield missed

    def _seen(self, direction: Side, data: str | bytes) -> list[Seen]:
        if isinstance(data, bytes):
            return self._seen_frame(direction, data)
        if data.startswith(OBSERVE):
            return []
        try:
            message = json.loads(data)
        except (ValueError, RecursionError):
            return []  # its sender is told that it is no JSON, or too deep
        if not isinstance(message, dict):
            return []
        self._learn(direction, message)
        return [SeenMessage(direction, redacted(message))]

    def _learn(self, direction: Side, message: dict[str, Any]) -> None:
        """What the audio behind this message will be; the client's word may be wrong, or the gateway's in its mouth."""
        kind, channel = message.get("type"), message.get("channel")
        if not isinstance(channel, int):
            return
        if kind == "tts.started" and direction == "server":
            self._sounds["server", channel] = message["encoding"], message["sample_rate"]
        elif kind == "channel.open":
            opened = self._live.connection.microphone_format(channel)
            if opened is not None:
                self._sounds["client", channel] = opened

    def _seen_frame(self, direction: Side, data: bytes) -> list[Seen]:
        if len(data) < wire_frame.HEADER_BYTES:
            return []
        frame = wire_frame.decode(data)
        sound = self._sounds.get((direction, frame.channel))
        if sound is None:
            return []
        seen: list[Seen] = [SeenFrame(frame.payload, frame.pts_ms, frame.flags & wire_frame.LAST != 0)]
        now = SeenAudio(direction, frame.channel, *sound)
        if now != self._told:
            self._told = now
            seen.insert(0, now)
        return seen
