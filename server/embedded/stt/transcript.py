"""A recogniser's input and output, and which part of a growing transcript can be promised. No I/O, no clock."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from server.embedded.stt.dictation import is_of_number

STABLE_UPDATES = 3  # decodes in which a word must stay the same
OPEN_WORDS = 2  # at the end of a partial, which the next word often changes
_TRAILING = ".,!?;:…-\"'"


@dataclass(frozen=True, slots=True)
class HeardWord:
    """A word as written, with its position in the stream's audio and its probability, 0 to 1."""

    text: str
    start_ms: int
    end_ms: int
    confidence: float


@dataclass(frozen=True, slots=True)
class Job:
    """An utterance so far, to be decoded. A `final` transcript has word times and begins with `promised`.

    `closer`: decode it in a longer window, because the first transcript was doubtful. `shown`: a partial was shown before this one.
    """

    pcm: bytes  # 16 kHz, 16-bit mono, from the start of the utterance
    final: bool
    vocabulary: tuple[str, ...] = ()
    promised: str = ""
    closer: bool = False
    shown: bool = False


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript. `words`: of finals only, with times since the start of the utterance. `doubtful`: a closer look may correct it."""

    text: str = ""
    words: tuple[HeardWord, ...] = ()
    doubtful: bool = False


class Recognizer(Protocol):
    """A loaded speech recogniser. Its calls block."""

    def decode(self, jobs: list[Job]) -> list[Transcript]:
        """The jobs' transcripts, in order. All jobs have the same vocabulary."""
        ...


def confidence(words: tuple[HeardWord, ...]) -> float:
    """Mean of the words' confidence, weighted by duration; 0 without words."""
    total_ms = sum(word.end_ms - word.start_ms for word in words)
    if total_ms <= 0:
        return sum(word.confidence for word in words) / len(words) if words else 0.0
    return sum(word.confidence * (word.end_ms - word.start_ms) for word in words) / total_ms


class Promise:
    """The part of an utterance's text that was declared stable. All later transcripts begin with it.

    A word is promised once it was the same in three consecutive decodes, not counting the last two words of each, which change as
    more is heard, nor a number at the end of the rest: "is 4" may become "is 4417". Final decodes are made to continue from what was promised.
    """

    def __init__(self) -> None:
        self.text = ""
        self._recent: list[list[str]] = []

    def observe(self, text: str) -> None:
        """Take a partial into account, and perhaps promise more of it."""
        self._recent = [*self._recent[-STABLE_UPDATES + 1 :], _without_number_at_end(text.split()[:-OPEN_WORDS])]
        if len(self._recent) < STABLE_UPDATES:
            return
        agreed = " ".join(_common(self._recent)).rstrip(_TRAILING)
        if len(agreed) > len(self.text) and begins_with(agreed, self.text):
            self.text = agreed

    def keep(self, text: str) -> str:
        """`text`, made to begin as promised. If it differs, its words follow after as many as are promised."""
        if begins_with(text, self.text):
            return text
        return " ".join([*self.text.split(), *text.split()[len(self.text.split()) :]])


def begins_with(text: str, promised: str) -> bool:
    """True if `text` begins with exactly these whole words."""
    if not promised:
        return True
    return text.startswith(promised) and (len(text) == len(promised) or not text[len(promised)].isalnum())


def _without_number_at_end(words: list[str]) -> list[str]:
    kept = len(words)
    while kept and is_of_number(words[kept - 1]):
        kept -= 1
    return words[:kept]


def _common(candidates: list[list[str]]) -> list[str]:
    count = 0
    for words in zip(*candidates, strict=False):
        if len(set(words)) > 1:
            break
        count += 1
    return candidates[-1][:count]
