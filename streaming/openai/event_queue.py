"""What waits to be sent, as text, and what was sent last. Events are never dropped; audio of a reply that was interrupted is."""

from __future__ import annotations

import asyncio
import json
from base64 import b64encode
from collections import deque
from typing import Any

MAX_AHEAD_BYTES = 256 * 1024  # some four seconds of 24 kHz audio in base64; lanes wait when more is queued
MAX_DIGITS = 15  # of an event's number that a client names
KEPT_BYTES = 2 * 1024 * 1024  # of what was sent, for a client that comes back: more than kernel and socket hold


class EventQueue:
    """Numbers events and keeps their order. `sent` is set with every batch that leaves."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._waiting: deque[tuple[int, str, str]] = deque()  # number, text, and for audio the response it belongs to
        self._kept: deque[tuple[int, str, str]] = deque()  # sent, the newest last
        self._kept_bytes = 0
        self.bytes = 0
        self.audio_bytes_dropped = 0
        self.sent = asyncio.Event()

    def _next_id(self) -> str:
        self._count += 1
        return f"event_{self._name}{self._count}"

    def _put(self, text: str, response_id: str = "") -> None:
        self._waiting.append((self._count, text, response_id))
        self.bytes += len(text)

    def say(self, event: dict[str, Any]) -> None:
        """Queue one event; it gets its id here."""
        self._put(json.dumps({"event_id": self._next_id(), **event}, ensure_ascii=False, separators=(",", ":")))

    def audio(self, frame: bytes, response_id: str, item_id: str, output_index: int) -> None:
        """Queue `response.output_audio.delta`. The ids are ours: nothing in them has to be escaped."""
        self._put(
            f'{{"event_id":"{self._next_id()}","type":"response.output_audio.delta","response_id":"{response_id}",'
            f'"item_id":"{item_id}","output_index":{output_index},"content_index":0,"delta":"{b64encode(frame).decode()}"}}',
            response_id,
        )

    def drop_audio(self, response_id: str) -> None:
        """What of this response's audio has not left is stale."""
        fresh: deque[tuple[int, str, str]] = deque()
        for event in self._waiting:
            if event[2] == response_id:
                self.bytes -= len(event[1])
                self.audio_bytes_dropped += len(event[1])
            else:
                fresh.append(event)
        self._waiting = fresh

    def take(self) -> list[str | bytes]:
        """All that waits."""
        batch: list[str | bytes] = [text for _, text, _ in self._waiting]
        self._kept += self._waiting
        self._kept_bytes += self.bytes
        while self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= len(self._kept.popleft()[1])
        self._waiting.clear()
        self.bytes = 0
        self.sent.set()
        return batch

    def _number(self, event_id: str) -> int | None:
        prefix, number = f"event_{self._name}", event_id[len(self._name) + len("event_") :]
        if not event_id.startswith(prefix) or not number.isascii() or not number.isdigit() or len(number) > MAX_DIGITS:
            return None
        return int(number)

    def can_go_on(self, last_event_id: str) -> bool:
        """Is all that was sent behind this event still kept? An event that was never sent is nobody's last."""
        last = self._number(last_event_id)
        left = self._kept[-1][0] if self._kept else 0
        oldest = self._kept[0][0] if self._kept else 1
        return last is not None and oldest - 1 <= last <= left

    def go_on(self, last_event_id: str) -> None:
        """Send again what left behind this event, before what waits. See `can_go_on`."""
        last = self._number(last_event_id) or 0
        while self._kept and self._kept[-1][0] > last:
            event = self._kept.pop()
            self._kept_bytes -= len(event[1])
            self._waiting.appendleft(event)
            self.bytes += len(event[1])

    async def room(self) -> None:
        """Wait until not too much is queued."""
        while self.bytes > MAX_AHEAD_BYTES:
            self.sent.clear()
            await self.sent.wait()
