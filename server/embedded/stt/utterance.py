"""One utterance while it is spoken: its audio, its partials and what they promised, its transcript at a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.embedded.stt.transcript import HeardWord, Job, Promise, Transcript

if TYPE_CHECKING:
    from server.embedded.stt.endpoint import SpeechBegan

BYTES_PER_MS = 32  # 16 kHz, 16 bit
PARTIAL_EVERY_MS = 300
FIRST_PARTIAL_MS = 200  # of speech: less tells no word


class Utterance:
    """`held`: text that stands before it in the same turn."""

    def __init__(self, began: SpeechBegan, vocabulary: tuple[str, ...], held: str = "") -> None:
        self.at_ms = began.at_ms
        self._from_ms = began.pcm_from_ms
        self._vocabulary = vocabulary
        self._held = held
        self._pcm = bytearray(began.pcm)
        self._looked_at_bytes = len(began.pcm) - PARTIAL_EVERY_MS * BYTES_PER_MS + FIRST_PARTIAL_MS * BYTES_PER_MS
        self._promise = Promise()
        self._told = ""
        self.at_pause: Transcript | None = None  # valid until speech goes on
        self.eager_told = False

    def add(self, pcm: bytes) -> None:
        """More audio."""
        self._pcm += pcm

    def partial_due(self) -> bool:
        """Whether enough audio came since the last decode."""
        return len(self._pcm) - self._looked_at_bytes >= PARTIAL_EVERY_MS * BYTES_PER_MS

    def job(self, *, final: bool) -> Job:
        """Decode all there is."""
        self._looked_at_bytes = len(self._pcm)
        return Job(bytes(self._pcm), final, self._vocabulary, self._promise.text if final else "")

    def partial(self, transcript: Transcript) -> tuple[str, int] | None:
        """A partial's text and stable characters, when its text is new."""
        if not transcript.text:
            return None
        self._promise.observe(transcript.text)
        text = self.with_held(self._promise.keep(transcript.text))
        if text == self._told:
            return None
        self._told = text
        return text, len(self.with_held(self._promise.text)) if self._promise.text or self._held else 0

    def with_held(self, text: str) -> str:
        """Behind what stands before it."""
        return " ".join(filter(None, [self._held, text]))

    def in_stream(self, transcript: Transcript) -> tuple[HeardWord, ...]:
        """The words, with times in the stream."""
        return tuple(
            HeardWord(word.text, word.start_ms + self._from_ms, word.end_ms + self._from_ms, word.confidence)
            for word in transcript.words
        )
