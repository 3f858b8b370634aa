"""An observer's look at a session: its events as they cross the wire, as far as the observer keeps up.

The session never waits: what does not fit is counted, and said. Audio is part of events here; without `audio` these are left out.
"""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Protocol

from streaming.ports import Missed, SeenMessage

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator

    from streaming.ports import Seen, Side
    from streaming.residents import Tap

MAX_WAITING_BYTES = 1_048_576  # of one observer
SECRETS = frozenset(["authorization", "headers", "server_url"])  # of a session's `mcp` tools
_AUDIO = ('"type":"response.output_audio.delta"', '"input_audio_buffer.append"')


def redacted(value: Any) -> Any:
    """The same without secrets."""
    if isinstance(value, dict):
        return {name: "…" if name in SECRETS else redacted(inner) for name, inner in value.items()}
    return [redacted(inner) for inner in value] if isinstance(value, list) else value


class Watched(Protocol):
    """The session, as far as observers look at it."""

    taps: list[Tap]


class Watch:
    """A tap on one session, and what it saw, until the session ends."""

    def __init__(self, live: Watched, *, audio: bool) -> None:
        self._live = live
        self._audio = audio
        self._waiting: deque[tuple[Side, str]] = deque()
        self._bytes = self._missed_messages = 0
        self._wake = asyncio.Event()
        self._over = False
        live.taps.append(self)

    def received(self, data: str | bytes, at_s: float) -> None:  # noqa: ARG002 - a live copy needs no times
        """See Tap."""
        self._put("client", data)

    def sent(self, batch: list[str | bytes], at_s: float) -> None:  # noqa: ARG002 - as above
        """See Tap."""
        for data in batch:
            self._put("server", data)

    def ended(self) -> None:
        """See Tap."""
        self._over = True
        self._wake.set()

    def _put(self, direction: Side, data: str | bytes) -> None:
        if isinstance(data, bytes) or (not self._audio and any(mark in data[:128] for mark in _AUDIO)):
            return
        if self._bytes + len(data) > MAX_WAITING_BYTES:
            self._missed_messages += 1
            return
        self._waiting.append((direction, data))
        self._bytes += len(data)
        self._wake.set()

    async def seen(self) -> AsyncGenerator[Seen]:
        """In order; `Missed` stands where something is missing. Closing it ends the look."""
        try:
            while self._waiting or not self._over:
                self._wake.clear()
                if not self._waiting:
                    await self._wake.wait()
                    continue
                direction, data = self._waiting.popleft()
                self._bytes -= len(data)
                message = _object(data)
                if message is not None:
                    yield SeenMessage(direction, redacted(message))
                if not self._waiting and self._missed_messages:
                    missed, self._missed_messages = Missed(self._missed_messages, 0), 0
                    yield missed
        finally:
            if self in self._live.taps:
                self._live.taps.remove(self)


def _object(data: str) -> dict[str, Any] | None:
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        return None  # its sender is told that it is no JSON
    return message if isinstance(message, dict) else None
