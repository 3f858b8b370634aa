"""What a recogniser is asked and what it answers; what may be promised of a transcript that still grows. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

STABLE_UPDATES = 3  # decodes in which a word stayed the same
OPEN_WORDS = 2  # at the end of a partial: the next word often changes them
_TRAILING = ".,!?;:…-\"'"


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as written, with its place in the stream's audio and its probability, 0 to 1."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Job:
    """One utterance so far, to be decoded. A transcript that is `final` has word times and begins with `promised`."""

    pcm: bytes  # 16 kHz, 16-bit mono, from the utterance's beginning
    final: bool
    vocabulary: tuple[str, ...] = ()
    promised: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """What was heard. `words`: of finals only, times from the utterance's beginning."""

    text: str = ""
    words: tuple[HeardWord, ...] = ()


class Recognizer(Protocol):
    """A loaded speech recogniser. Blocks."""

    def decode(self, jobs: list[Job]) -> list[Transcript]:
        """The jobs' transcripts, in order. All jobs have the same vocabulary."""
        ...


def confidence(words: tuple[HeardWord, ...]) -> float:
    """Mean of the words', each weighing as much as it lasts; 0 without words."""
    total_ms = sum(word.end_ms - word.start_ms for word in words)
    if total_ms <= 0:
        return sum(word.confidence for word in words) / len(words) if words else 0.0
    return sum(word.confidence * (word.end_ms - word.start_ms) for word in words) / total_ms


class Promise:
    """The beginning of an utterance's text that was told to be stable. Whatever comes later begins with it.

    A word is promised once it stayed the same in three decodes in a row, without the last two words of each: those change
    as more is heard. Final decodes are made to go on from what was promised.
    """

    def __init__(self) -> None:
        self.text = ""
        self._recent: list[list[str]] = []

    def observe(self, text: str) -> None:
        """Take note of a partial; perhaps promise more of it."""
        self._recent = [*self._recent[-STABLE_UPDATES + 1 :], text.split()[:-OPEN_WORDS]]
        if len(self._recent) < STABLE_UPDATES:
            return
        agreed = " ".join(_common(self._recent)).rstrip(_TRAILING)
        if len(agreed) > len(self.text) and begins_with(agreed, self.text):
            self.text = agreed

    def keep(self, text: str) -> str:
        """`text`, made to begin as promised: where it differs, its words behind as many as are promised follow."""
        if begins_with(text, self.text):
            return text
        return " ".join([*self.text.split(), *text.split()[len(self.text.split()) :]])


def begins_with(text: str, promised: str) -> bool:
    """Whether `text` begins with these whole words, to the letter."""
    if not promised:
        return True
    return text.startswith(promised) and (len(text) == len(promised) or not text[len(promised)].isalnum())


def _common(candidates: list[list[str]]) -> list[str]:
    count = 0
    for words in zip(*candidates, strict=False):
        if len(set(words)) > 1:
            break
        count += 1
    return candidates[-1][:count]
