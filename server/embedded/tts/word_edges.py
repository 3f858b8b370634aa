"""Finds where words begin and end in audio, from their phonemes' durations and from silences."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

FRAME_MS = 5  # resolution of loudness
GAP_MS = 40  # a silence of this length separates two words, whose edges are then at the silence
EARLY_MS = 40  # by which the network's sound precedes its durations, measured by forced alignment of ten sentences
CORE_MS = 80  # this long after its beginning a word certainly sounds, unless it has ended


@dataclass(frozen=True, slots=True)
class Edges:
    """A word by its index in the text; times in milliseconds of audio. `last_ms`: the beginning of its last phoneme."""

    word: int
    start_ms: float
    last_ms: float
    end_ms: float

    def core_ms(self, speed: float = 1.0) -> float:
        """A moment within the word; slow speech begins slowly."""
        return self.start_ms + min(CORE_MS / min(1.0, speed), (self.end_ms - self.start_ms) / 2)

    def earlier_by(self, ms: float) -> Edges:
        """The same word, in audio whose first milliseconds were cut off."""
        return Edges(self.word, self.start_ms - ms, self.last_ms - ms, self.end_ms - ms)


def counted(words: Sequence[int | None], ends_ms: Sequence[float]) -> list[Edges]:
    """Each word, from the pause before its first phoneme to its last one; None is a pause.

    `ends_ms` has one more entry than `words` at each end, for padding. In running speech there is no silence at a pause: the next word
    has already begun there.
    """
    found: list[Edges] = []
    for index, word in enumerate(words):
        if word is None:
            continue
        first = index - 1 if index and words[index - 1] is None else index
        start_ms, end_ms = (max(0.0, ends_ms[at] - EARLY_MS) for at in (first, index + 1))
        if found and found[-1].word == word:
            found[-1] = replace(found[-1], last_ms=start_ms, end_ms=end_ms)
        else:
            found.append(Edges(word, start_ms, start_ms, end_ms))
    return found


def heard(edges: Sequence[Edges], loud: Sequence[bool], speed: float = 1.0) -> list[Edges]:
    """The same words, with edges next to a silence moved to where the sound ends and starts again.

    The network counts the silence of a closing consonant, and a part of the pause, to the adjacent phoneme.
    """
    found = list(edges)
    for index in range(len(found) + 1):
        low_ms = max(found[index - 1].last_ms, found[index - 1].core_ms(speed)) if index else 0.0
        high_ms = found[index].core_ms(speed) if index < len(found) else len(loud) * FRAME_MS
        gap = longest_gap(loud, low_ms, high_ms)
        if gap is None:
            continue
        if index:
            found[index - 1] = replace(found[index - 1], end_ms=max(found[index - 1].start_ms, gap[0]))
        if index < len(found):
            found[index] = replace(found[index], start_ms=min(found[index].end_ms, gap[1]))
    return found


def within(edges: Sequence[Edges], first_ms: float, last_ms: float) -> list[Edges]:
    """The same words in order, between the first and the last sound.

    The durations of fast speech put a first word before all sound: the network still begins slowly.
    """
    found, begun_ms = list[Edges](), first_ms
    for each in edges:
        begun_ms = min(max(begun_ms, each.start_ms), last_ms)
        end_ms = min(max(begun_ms, each.end_ms), last_ms)
        found.append(Edges(each.word, begun_ms, min(max(begun_ms, each.last_ms), end_ms), end_ms))
    return found


def longest_gap(loud: Sequence[bool], from_ms: float, to_ms: float) -> tuple[float, float] | None:
    """The longest silence between two moments, if it has at least GAP_MS."""
    best: tuple[float, float] | None = None
    began: int | None = None
    first, last = int(from_ms // FRAME_MS), min(len(loud), int(to_ms // FRAME_MS))
    for frame in range(first, last + 1):
        if frame < last and not loud[frame]:
            began = frame if began is None else began
        elif began is not None:
            length_ms = (frame - began) * FRAME_MS
            if length_ms >= GAP_MS and (best is None or length_ms > best[1] - best[0]):
                best = (began * FRAME_MS, frame * FRAME_MS)
            began = None
    return best
