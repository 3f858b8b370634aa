"""One utterance while it is spoken: its audio, its partials and their promise, its transcript at a pause."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.embedded.stt.endpoint import KEPT_SILENCE_MS
from server.embedded.stt.transcript import HeardWord, Job, Promise, Transcript

if TYPE_CHECKING:
    import asyncio

    from server.embedded.stt.endpoint import SpeechBegan

BYTES_PER_MS = 32  # 16 kHz, 16 bit
PARTIAL_EVERY_MS = 300
PARTIAL_SHARE = 0.5  # of the time a talker's partials may be decoded: fewer come while the decoders are busy or the utterance is long
FIRST_PARTIAL_MS = 200  # of speech; less has no recognisable word


class HeardUtterance:
    """One utterance. `held`: text before it in the same turn."""

    def __init__(self, began: SpeechBegan, vocabulary: tuple[str, ...], held: str = "") -> None:
        self.at_ms = began.at_ms
        self._from_ms = began.pcm_from_ms
        self._vocabulary = vocabulary
        self._held = held
        self._pcm = bytearray(began.pcm)
        self._looked_at_bytes = len(began.pcm) - PARTIAL_EVERY_MS * BYTES_PER_MS + FIRST_PARTIAL_MS * BYTES_PER_MS
        self._partial_every_ms = float(PARTIAL_EVERY_MS)
        self._promise = Promise()
        self._told = ""
        self.at_pause: Transcript | None = None  # valid until speech continues
        self.ahead: asyncio.Task[Transcript | None] | None = None  # a decode begun before the pause is certain
        self.ahead_in = 0  # the silence in which it was begun
        self.closer: asyncio.Task[Transcript] | None = None  # a closer look at it, if it is doubtful
        self.eager_told = False

    def add(self, pcm: bytes) -> None:
        """Add audio."""
        self._pcm += pcm

    def partial_due(self) -> bool:
        """True if enough audio arrived since the last decode."""
        return len(self._pcm) - self._looked_at_bytes >= self._partial_every_ms * BYTES_PER_MS

    def partial_took(self, ms: float) -> None:
        """Time the next partial by how long the last one took, its wait in the queue included."""
        self._partial_every_ms = max(PARTIAL_EVERY_MS, ms / PARTIAL_SHARE)

    @property
    def pcm(self) -> bytes:
        """All audio so far."""
        return bytes(self._pcm)

    def partial_job(self) -> Job:
        """A job to decode the audio so far."""
        self._looked_at_bytes = len(self._pcm)
        return Job(self.pcm, False, self._vocabulary, shown=bool(self._told))

    def final_job(self, spoken_until_ms: int) -> Job:
        """A job to decode what was spoken, without the silence behind it.

        So the same speech has the same words, whether its decode began early or late. And words that end before the audio are too few.
        """
        self._looked_at_bytes = len(self._pcm)
        kept_ms = spoken_until_ms + KEPT_SILENCE_MS - self._from_ms
        return Job(bytes(self._pcm[: kept_ms * BYTES_PER_MS]), True, self._vocabulary, self._promise.text)

    def forget_pause(self) -> None:
        """Speech went on."""
        self.at_pause = None
        if self.closer is not None:
            self.closer.cancel()
            self.closer = None

    def drop_ahead(self) -> None:
        """Speech went on before the silence was a pause, or the utterance is over."""
        if self.ahead is not None:
            self.ahead.cancel()
            self.ahead = None

    def partial(self, transcript: Transcript) -> tuple[str, int] | None:
        """A partial's text and number of stable characters; None if its text is not new."""
        if not transcript.text:
            return None
        self._promise.observe(transcript.text)
        text = self.with_held(self._promise.keep(transcript.text))
        if text == self._told:
            return None
        self._told = text
        return text, len(self.with_held(self._promise.text)) if self._promise.text or self._held else 0

    def with_held(self, text: str) -> str:
        """The text, after what was said before it in the turn."""
        return " ".join(filter(None, [self._held, text]))

    def in_stream(self, transcript: Transcript) -> tuple[HeardWord, ...]:
        """The words with times in the stream."""
        return tuple(
            HeardWord(word.text, word.start_ms + self._from_ms, word.end_ms + self._from_ms, word.confidence)
            for word in transcript.words
        )
