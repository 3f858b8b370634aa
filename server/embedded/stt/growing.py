"""The transcript of an utterance while it is spoken: when to show it, how much of it to promise, when it seems complete."""

from __future__ import annotations

from typing import TYPE_CHECKING

from server.embedded.stt.transcript import SETTLED_MS, Heard, HeardWord, Promise

if TYPE_CHECKING:
    from server.embedded.stt.transcript import Hypothesis

BYTES_PER_MS = 32


class GrowingTranscript:
    """`held`: words that stand before it already. Times of what the decoders hear are counted from `from_ms`."""

    def __init__(self, from_ms: int, held: tuple[HeardWord, ...] = (), *, may_promise: bool = True) -> None:
        self._from_ms = from_ms
        self._held = held
        self._promise = Promise()
        self._may_promise = may_promise
        self._now_ms = 0  # of this utterance's audio
        self._text = self._told = ""
        self._same_since_ms = 0
        self._eager_told = False

    def update(self, heard: Heard, n_bytes: int) -> None:
        """What the decoders hear after `n_bytes` more of audio."""
        self._now_ms += n_bytes // BYTES_PER_MS
        if self._may_promise:
            self._promise.observe(heard.agreed(), self._now_ms)
        text = self._joined(self._promise.keep(heard.best().words))
        if text != self._text:
            self._text, self._same_since_ms = text, self._now_ms

    def partial(self) -> tuple[str, int] | None:
        """Text and stable characters, when there is something new that has settled; the first words are shown at once."""
        if not self._text or self._text == self._told or (self._told and not self._settled):
            return None
        self._told = self._text
        stable = self._joined(self._promise.words) if self._promise.words else self._joined(())
        return self._text, len(stable)

    def eager_text(self) -> str:
        """In a pause: the settled text, once; else nothing."""
        if self._eager_told or not self._settled or not self._text:
            return ""
        self._eager_told = True
        return self._text

    def resume(self) -> bool:
        """Speech goes on: whether that takes something back."""
        told, self._eager_told = self._eager_told, False
        return told

    def final(self, heard: Heard) -> tuple[HeardWord, ...]:
        """The utterance's words, with times in the stream."""
        best: Hypothesis = heard.best()
        return tuple(
            HeardWord(word.text, word.start_ms + self._from_ms, word.end_ms + self._from_ms, word.confidence)
            for word in self._promise.keep(best.words)
        )

    @property
    def _settled(self) -> bool:
        return self._now_ms - self._same_since_ms >= SETTLED_MS

    def _joined(self, words: tuple[HeardWord, ...]) -> str:
        return " ".join(word.text for word in (*self._held, *words))
