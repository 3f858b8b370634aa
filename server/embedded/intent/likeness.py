"""Near misses: the way of saying something that a sentence is closest to, slots taking in whatever words they meet.

The words are aligned as in an edit distance. Words that carry the meaning weigh more than small ones, a misheard word costs
as much as its letters differ, two swapped neighbours cost little ("what time it is").
"""

from __future__ import annotations

import difflib
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from server.embedded.intent import templates
from server.embedded.intent.templates import SLOT

if TYPE_CHECKING:
    from collections.abc import Sequence

LIKE = 0.72  # of a way to say something: one meaning word in four misheard, or one or two small ones missing
SHARED = 0.4  # of its weight has to be there letter by letter, before anything is aligned
MAX_WORDS = 25  # nobody misses a template by one word in a sentence longer than that
MAX_LENGTH_GAP = 2  # words missing, or too many
SWAPPED = 0.15  # of the two words' weight
ALIKE = 0.55  # of the letters: below, two words are different words
NEVER = frozenset({"yes", "forget"})  # what is approved or forgotten may not be undone: neither is guessed
MIN_SLOT_WEIGHT = 1.5  # of the fixed words around a slot: "search for" alone would make a search of anything

_SMALL = frozenset(
    {"a", "an", "and", "are", "at", "be", "do", "does", "for", "i", "in", "is", "it", "me", "of", "on", "please", "so"}
    | {"that", "the", "this", "to", "what's", "with", "you"}
)
_SMALL_WEIGHT = 0.4
_EXTRA = 0.7  # of the weight of a word too many

Alignment = tuple[float, tuple[str, ...]]
"""Cost so far, and the sentence as it should have been."""


def weight(word: str) -> float:
    """Of a word in a sentence."""
    return _SMALL_WEIGHT if word in _SMALL else 1.0


@lru_cache(maxsize=4096)
def _difference(said: str, meant: str) -> float:
    """0 for the same word, 1 and more for different ones, in weights of the word meant."""
    if said == meant:
        return 0.0
    ratio = difflib.SequenceMatcher(None, said, meant, autojunk=False).ratio()
    return 1.0 - ratio if ratio >= ALIKE else 2.0


def align(said: Sequence[str], meant: Sequence[str]) -> Alignment:
    """The cheapest way from what was said to what may have been meant."""
    rows: list[list[Alignment]] = []
    for index in range(len(said) + 1):
        row: list[Alignment] = []
        for column in range(len(meant) + 1):
            row.append(min(_ways(said, meant, index, column, [*rows, row])))
        rows.append(row)
    return rows[-1][-1]


def _ways(
    said: Sequence[str], meant: Sequence[str], index: int, column: int, rows: list[list[Alignment]]
) -> list[Alignment]:
    """Every last move that leads to the first `index` words said for the first `column` meant."""
    if index == column == 0:
        return [(0.0, ())]
    ways: list[Alignment] = []
    heard = said[index - 1] if index else ""
    word = meant[column - 1] if column else ""
    if column and word != SLOT:  # a word is missing
        cost, words = rows[index][column - 1]
        ways.append((cost + weight(word), (*words, word)))
    if index:  # a word too many, or one more in a slot
        cost, words = rows[index - 1][column]
        ways.append((cost, (*words, heard)) if word == SLOT else (cost + _EXTRA * weight(heard), words))
    if index and column:  # the same word, or a misheard one
        cost, words = rows[index - 1][column - 1]
        same = word == SLOT
        ways.append(
            (cost, (*words, heard)) if same else (cost + _difference(heard, word) * weight(word), (*words, word))
        )
    if index > 1 and column > 1 and (heard, said[index - 2]) == (meant[column - 2], word) and SLOT not in (word, heard):
        cost, words = rows[index - 2][column - 2]
        ways.append((cost + SWAPPED * (weight(word) + weight(heard)), (*words, meant[column - 2], word)))
    return ways or [(float("inf"), ())]


@cache
def _known() -> tuple[tuple[str, tuple[str, ...], frozenset[str], float], ...]:
    """(intent, words, fixed words, their weight)."""
    return tuple(
        (intent, words, frozenset(words) - {SLOT}, sum(weight(word) for word in words if word != SLOT))
        for intent, words in templates.skeletons()
        if intent not in NEVER
    )


def _worth_aligning(said: Sequence[str]) -> list[tuple[str, tuple[str, ...], float]]:
    there = frozenset(said)
    found = []
    for intent, words, fixed, whole in _known():
        shared = fixed & there
        if sum(map(weight, shared)) < SHARED * whole or len(words) > len(said) + MAX_LENGTH_GAP:
            continue
        open_ended = SLOT in words
        if open_ended and (whole < MIN_SLOT_WEIGHT or all(word in _SMALL for word in shared)):
            continue
        if open_ended or abs(len(words) - len(said)) <= MAX_LENGTH_GAP:
            found.append((intent, words, whole))
    return found


def nearest(text: str) -> list[tuple[float, str, str]]:
    """(likeness 0 to 1, intent, the sentence as it should have been), best first, one for each intent."""
    said = templates.spoken(text).split()
    if not 0 < len(said) <= MAX_WORDS:
        return []
    best: dict[str, tuple[float, str]] = {}
    for intent, words, whole in _worth_aligning(said):
        cost, repaired = align(said, words)
        likeness = 1.0 - cost / whole
        if likeness >= max(LIKE, best.get(intent, (0.0, ""))[0]):
            best[intent] = (likeness, " ".join(repaired))
    return sorted(((likeness, intent, text) for intent, (likeness, text) in best.items()), reverse=True)
