"""A piece spoken in parts, because it has words in several scripts."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from server.embedded.tts.engine import Spoken, WordMark

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

BYTES_PER_SAMPLE = 2


def runs(text: str, unsaid: Sequence[tuple[int, int]]) -> Iterator[tuple[int, str]]:
    """The text in runs, each with its start: those that were said and those that were not, alternating. White space is no run."""
    edges = [0]
    for start, end in unsaid:
        if len(edges) > 1 and _belongs_to_both(text[edges[-1] : start]):
            edges[-1] = end  # another word in the same script
        else:
            edges += [start, end]
    for start, end in zip(edges, [*edges[1:], len(text)], strict=True):
        if any(map(str.isalnum, text[start:end])):
            yield start, text[start:end]


def _belongs_to_both(between: str) -> bool:
    """True for what is between two words that were not said, and is no word itself: white space, or one letter within a word.

    Hundreds of runs of one letter would each be spoken by themselves, or be named.
    """
    return (len(between) == 1 and between.isalnum()) or not any(map(str.isalnum, between))


def standing_for(text: str, spoken: Spoken, rate_hz: int) -> Spoken:
    """Sound that was made from other words, with the words of `text` spread over it."""
    starts = [found.start() for found in re.finditer(r"\S+", text)]
    word_ms = len(spoken.pcm) * 1000 / (BYTES_PER_SAMPLE * rate_hz) / len(starts)
    return Spoken(spoken.pcm, tuple(WordMark(start, n * word_ms, (n + 1) * word_ms) for n, start in enumerate(starts)))


def joined(parts: Sequence[tuple[int, Spoken]], rate_hz: int) -> Spoken:
    """The runs one after the other, all at `rate_hz`."""
    pcm, marks = bytearray(), []
    for start, spoken in parts:
        began_ms = len(pcm) * 1000 / (BYTES_PER_SAMPLE * rate_hz)
        marks += [
            replace(
                mark,
                position=mark.position + start,
                at_ms=mark.at_ms + began_ms,
                end_ms=None if mark.end_ms is None else mark.end_ms + began_ms,
            )
            for mark in spoken.marks
        ]
        pcm += spoken.pcm
    return Spoken(bytes(pcm), tuple(marks))
