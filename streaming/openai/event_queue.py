"""Events waiting to be sent, as text, and those sent last. Events are never dropped, except audio of interrupted replies."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from typing import Any

from pybase64 import b64encode_as_string

MAX_AHEAD_BYTES = 256 * 1024  # some four seconds of 24 kHz audio in base64; above this, lanes wait
MAX_DIGITS = 15  # of an event's number in a client's message
KEPT_BYTES = 2 * 1024 * 1024  # of sent events, for a client that resumes: more than kernel and socket buffer


class EventQueue:
    """Numbers events and keeps their order. `sent` is set with every batch sent."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._count = 0
        self._waiting: deque[tuple[int, str, str]] = deque()  # number, text, and the response of audio
        self._kept: deque[tuple[int, str, str]] = deque()  # sent events, the newest last
        self._kept_bytes = 0
        self._left = 0  # number of the last event that was sent
        self.bytes = 0
        self.audio_bytes_dropped = 0
        self.has_spoken = False  # the client was sent audio
        self.shut = False  # the last words were said: what lanes still tell comes too late
        self.sent = asyncio.Event()

    def _next_id(self) -> str:
        self._count += 1
        return f"event_{self._name}{self._count}"

    def _put(self, text: str, response_id: str = "") -> None:
        if not self.shut:
            self._waiting.append((self._count, text, response_id))
            self.bytes += len(text)

    def say(self, event: dict[str, Any]) -> None:
        """Queue an event and give it an id."""
        self._put(json.dumps({"event_id": self._next_id(), **event}, ensure_ascii=False, separators=(",", ":")))

    def audio(self, frame: bytes, response_id: str, item_id: str, output_index: int) -> None:
        """Queue `response.output_audio.delta`. All ids are ours, so nothing needs escaping."""
        self.has_spoken = True
        self._put(
            f'{{"event_id":"{self._next_id()}","type":"response.output_audio.delta","response_id":"{response_id}",'
            f'"item_id":"{item_id}","output_index":{output_index},"content_index":0,"delta":"{b64encode_as_string(frame)}"}}',
            response_id,
        )

    def drop_audio(self, response_id: str) -> None:
        """Drop queued audio of a response, which is stale."""
        fresh: deque[tuple[int, str, str]] = deque()
        for event in self._waiting:
            if event[2] == response_id:
                self.bytes -= len(event[1])
                self.audio_bytes_dropped += len(event[1])
            else:
                fresh.append(event)
        self._waiting = fresh

    def take(self) -> list[str | bytes]:
        """Take all queued events."""
        batch: list[str | bytes] = [text for _, text, _ in self._waiting]
        self._kept += self._waiting
        if self._waiting:
            self._left = max(self._left, self._waiting[-1][0])
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
        """True if everything sent after this event is still kept. An event that was never sent cannot be resumed from."""
        last = self._number(last_event_id)
        again = self._kept[0] if self._kept else self._waiting[0] if self._waiting else (self._left + 1,)
        return last is not None and again[0] - 1 <= last <= self._left

    def go_on(self, last_event_id: str) -> None:
        """Queue again what was sent after this event, before what waits. See `can_go_on`."""
        last = self._number(last_event_id) or 0
        while self._waiting and self._waiting[0][0] <= last:  # queued to be sent again, but the client did receive it
            event = self._waiting.popleft()
            self._kept.append(event)
            self._kept_bytes += len(event[1])
            self.bytes -= len(event[1])
        while self._kept and self._kept[-1][0] > last:
            event = self._kept.pop()
            self._kept_bytes -= len(event[1])
            self._waiting.appendleft(event)
            self.bytes += len(event[1])

    @property
    def has_room(self) -> bool:
        """True if `room` would not wait now: the queue is short."""
        return self.bytes <= MAX_AHEAD_BYTES

    async def room(self) -> None:
        """Wait until the queue is short."""
        while self.bytes > MAX_AHEAD_BYTES:
            self.sent.clear()
            await self.sent.wait()
