"""A recogniser on virtual time: it listens at its own pace, reports its position, and recognises numbered words.

A word is WORD_FRAMES frames whose samples all have its number; 0 is silence. A word with missing frames is recognised as
"1?", so transcripts show what was lost, cut off or heard twice.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from streaming.ports import FinalTranscript, InterimTranscript, RecognitionProgress, SpeechStarted, SpeechStopped

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

FRAME_MS = 20
FRAME_BYTES = 640
WORD_FRAMES = 8
NOTICED_FRAMES = 3  # of speech before SpeechStarted
PAUSE_FRAMES = 20  # of silence that end an utterance
PROGRESS_FRAMES = 20  # between two Progress events
SILENCE = bytes(FRAME_BYTES)


def spoken(*words: int, before_ms: int = 300, after_ms: int = 900) -> list[bytes]:
    """The frames of an utterance, with silence around it."""
    before, after = before_ms // FRAME_MS, after_ms // FRAME_MS
    voice = [word.to_bytes(2, "little") * (FRAME_BYTES // 2) for word in words for _ in range(WORD_FRAMES)]
    return [SILENCE] * before + voice + [SILENCE] * after


class Ears:
    """`streaming.ports.RecognitionStream`. `step_s`: the time to process one frame."""

    def __init__(self, on_taken: Callable[[int], None], step_s: float) -> None:
        self._on_taken = on_taken
        self._step_s = step_s
        self._pcm = bytearray()
        self._commits: set[int] = set()  # positions in bytes
        self._ended = self._cancelled = False
        self._news = asyncio.Event()
        self._at = 0  # frames
        self._told = 0
        self._voice: list[int] = []  # the utterance's frames, by word
        self._began = self._silent = 0

    def send_audio(self, pcm: bytes) -> None:
        self._pcm += pcm
        self._news.set()
        self._on_taken(len(pcm))

    def commit(self) -> None:
        self._commits.add(len(self._pcm))
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def cancel(self) -> None:
        self._cancelled = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[object]:
        while not self._cancelled:
            start = self._at * FRAME_BYTES
            if start + FRAME_BYTES > len(self._pcm):
                if self._ended:
                    break
                self._news.clear()
                await self._news.wait()
                continue
            await asyncio.sleep(self._step_s)
            self._at += 1
            for event in self._hear(int.from_bytes(self._pcm[start : start + 2], "little")):
                yield event
        if len(self._voice) >= NOTICED_FRAMES and not self._cancelled:
            for event in self._over():
                yield event

    def _hear(self, word: int) -> list[object]:
        if word:
            return self._hear_voice(word)
        self._silent += 1
        if len(self._voice) < NOTICED_FRAMES:
            self._voice.clear()
            if self._at - self._told < PROGRESS_FRAMES:
                return []
            self._told = self._at
            return [RecognitionProgress(self._at * FRAME_MS)]
        return self._over() if self._silent >= PAUSE_FRAMES else []

    def _hear_voice(self, word: int) -> list[object]:
        if not self._voice:
            self._began = self._at - 1
        self._silent = 0
        self._voice.append(word)
        if len(self._voice) == NOTICED_FRAMES:
            return [SpeechStarted(self._began * FRAME_MS)]
        return [InterimTranscript(self._words(), 0)] if len(self._voice) % WORD_FRAMES == 0 else []

    def _words(self) -> str:
        found: list[str] = []
        for word in dict.fromkeys(self._voice):
            frames = self._voice.count(word)
            found.append(f"{word}" if frames == WORD_FRAMES else f"{word}?")
        return " ".join(found)

    def _over(self) -> list[object]:
        end_ms = (self._at - self._silent) * FRAME_MS
        final = FinalTranscript(self._words(), 0.9, self._began * FRAME_MS, end_ms)
        self._voice.clear()
        return [SpeechStopped(end_ms), final]
