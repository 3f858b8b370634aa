"""Recognises audio inside items that the client adds, one item after the other, and keeps its words."""

from __future__ import annotations

import asyncio
from collections import deque
from dataclasses import replace
from typing import TYPE_CHECKING

from streaming.lanes.stt import SttLane
from streaming.openai import settings as config
from streaming.openai.hearing import Hearing
from streaming.openai.mistakes import wrong
from streaming.openai.room import no_room
from streaming.sound.pcm import BYTES_PER_SAMPLE

if TYPE_CHECKING:
    from streaming.openai.conversation import Entry
    from streaming.openai.host import Host
    from streaming.openai.room import Holding
    from streaming.ports import FinalTranscript
    from streaming.session import LaneEnd
    from streaming.sound.microphone_format import MicrophoneFormat

CHANNEL = 2_000_000  # channel numbers start here, those of microphones at 1,000,000
PIECE_MS = 100
AHEAD_BYTES = 128 * 1024  # audio queued at the recogniser; more waits until it has taken some


class PartHearing(Hearing):
    """Recognition of one item's sound: one final per part."""

    ahead_bytes = AHEAD_BYTES

    def __init__(self, host: Host, entry: Entry, bytes_per_ms: float, *, transcribes: bool) -> None:
        super().__init__(host, 0.0, detects=False, transcribes=transcribes)
        self._entry = entry
        self._bytes_per_ms = bytes_per_ms
        self._parts = deque(entry.sounds)
        self._awaiting.append((entry, False, 0.0))
        self.over = asyncio.Event()  # set when every part has its words, or recognition has failed

    def _on_final(self, event: FinalTranscript) -> None:
        if not self._parts:
            return
        index, entry = self._parts.popleft(), self._entry
        if entry.cut is None:  # otherwise the client has deleted the item meanwhile
            entry.item["content"][index]["transcript"] = event.text
            if self._transcribes:
                audio_ms = len(entry.sounds[index]) / self._bytes_per_ms
                self._tell_transcript(entry, event, audio_ms, index)
        if not self._parts:
            self._awaiting.clear()
            self.over.set()
            entry.awaited, entry.answered = False, entry.answered or not entry.text
            self._host.on_words(entry, automatic=False)

    def lane_ended(self, end: LaneEnd) -> None:
        """The lane has ended."""
        self.over.set()
        self.broke(end.code or "closed", end.message or "the recogniser was stopped")
        self._host.wake()


class RecordedSound:
    """Items with audio that waits to be recognised, and the task that does it. `holding`: of the room for what waits."""

    def __init__(self, host: Host, holding: Holding) -> None:
        self._host = host
        self._holding = holding
        self._waiting: deque[tuple[Entry, MicrophoneFormat, bool]] = deque()
        self._channel = CHANNEL
        self._task: asyncio.Task[None] | None = None

    def check(self, entry: Entry) -> None:
        """Raise MistakeError if the audio has half samples, or there is no room for it."""
        encoding, _ = config.sound_of(self._host.settings["audio"]["input"]["format"])
        if encoding == "pcm_s16le" and any(len(sound) % BYTES_PER_SAMPLE for sound in entry.sounds.values()):
            raise wrong("item.content", "Invalid 'audio': pcm16 has whole samples of two bytes.")
        if not self._holding.fits(_size(entry)):
            raise no_room("item.content")

    def hear(self, entry: Entry) -> None:
        """Recognise the audio of a checked item, if it has any."""
        if not entry.sounds:
            return
        entry.awaited = True
        source = replace(config.microphone_of(self._host.settings), endpointing=False)
        transcribes = self._host.settings["audio"]["input"].get("transcription") is not None
        self._waiting.append((entry, source, transcribes))
        self._holding.grow(_size(entry))
        if self._task is None:
            self._task = self._host.group.create_task(self._run(), name="recognise sound of items")

    async def _run(self) -> None:
        try:
            while self._waiting:
                entry, source, transcribes = self._waiting.popleft()
                per_sample = BYTES_PER_SAMPLE if source.encoding == "pcm_s16le" else 1
                bytes_per_ms = source.sample_rate_hz * per_sample / 1000
                hearing = PartHearing(self._host, entry, bytes_per_ms, transcribes=transcribes)
                try:
                    await self._recognise(entry, source, hearing, round(PIECE_MS * bytes_per_ms))
                finally:
                    self._holding.shrink(_size(entry))
                    entry.sounds = {}
        finally:
            self._task = None

    async def _recognise(self, entry: Entry, source: MicrophoneFormat, hearing: PartHearing, piece_bytes: int) -> None:
        self._channel += 1
        channel = self._channel
        self._host.lanes.open(channel, lambda setup: SttLane(setup, source), hearing, hearing.lane_ended)
        for sound in entry.sounds.values():
            for start in range(0, len(sound), piece_bytes):
                piece = bytes(sound[start : start + piece_bytes])
                await hearing.ready()
                lane = self._host.lanes.lane(channel)
                if lane is None:
                    break
                hearing.fed(len(piece), PIECE_MS)
                lane.audio(piece)
                await asyncio.sleep(0)
            if (lane := self._host.lanes.lane(channel)) is not None:
                lane.commit()
        await hearing.over.wait()
        if (lane := self._host.lanes.lane(channel)) is not None:
            lane.end()

    def close(self) -> None:
        """Stop, because the session has ended."""
        while self._waiting:
            self._holding.shrink(_size(self._waiting.popleft()[0]))
        if self._task is not None:
            self._task.cancel()


def _size(entry: Entry) -> int:
    return sum(map(len, entry.sounds.values()))
