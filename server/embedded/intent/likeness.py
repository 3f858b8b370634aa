"""Near misses: finds the known sentence that is closest to what was said. Slots take whatever words they meet.

Words are aligned by edit distance. Words that carry meaning weigh more than small ones, a misheard word costs as much as its
letters differ, and two swapped neighbours cost little ("what time it is").
"""

from __future__ import annotations

import difflib
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from server.embedded.intent import templates
from server.embedded.intent.templates import SLOT

if TYPE_CHECKING:
    from collections.abc import Sequence

LIKE = 0.72  # of a sentence's weight: one in four meaningful words misheard, or one or two small ones missing
SHARED = 0.4  # of its weight must match letter by letter before anything is aligned
MAX_WORDS = 25  # in a longer sentence, a template is never missed by a single word
MAX_LENGTH_GAP = 2  # missing or superfluous words
SWAPPED = 0.15  # of the two words' weight
ALIKE = 0.55  # share of equal letters, below which two words are different
NEVER = frozenset({"yes", "forget"})  # never guessed, because approving and forgetting cannot be undone
MIN_SLOT_WEIGHT = 1.5  # of the fixed words around a slot: "search for" alone would turn anything into a search

SMALL = frozenset(
    {"a", "an", "and", "are", "at", "be", "do", "does", "for", "i", "in", "is", "it", "me", "of", "on", "please", "so"}
    | {"that", "the", "this", "to", "what's", "with", "you"}
)
_SMALL_WEIGHT = 0.4
OWN = "my"  # small, but "the capital of Mongolia" is nothing that the user has told
# Words that turn a request into something else: a sentence without them is never like one with them.
TURNS = frozenset({"don't", "not", "never", "no", "nobody", "cannot", "can't", "won't", "without", "nothing"})
TURNS |= {"did", "why", "if", "should", "took", "would", "was", "were", "shouldn't", "didn't", "wouldn't"}
_EXTRA = 0.7  # of the weight of a superfluous word

Alignment = tuple[float, tuple[str, ...]]
"""The cost so far, and the repaired sentence."""


def weight(word: str) -> float:
    """The weight of a word."""
    return _SMALL_WEIGHT if word in SMALL else 1.0


@lru_cache(maxsize=4096)
def _difference(said: str, meant: str) -> float:
    """0 for the same word, 1 and more for different ones, relative to the weight of the known word."""
    if said == meant:
        return 0.0
    ratio = difflib.SequenceMatcher(None, said, meant, autojunk=False).ratio()
    return 1.0 - ratio if ratio >= ALIKE else 2.0


def align(said: Sequence[str], meant: Sequence[str]) -> Alignment:
    """The cheapest alignment of what was said with a known sentence."""
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
    """All last moves that align the first `index` words said with the first `column` words known."""
    if index == column == 0:
        return [(0.0, ())]
    ways: list[Alignment] = []
    heard = said[index - 1] if index else ""
    word = meant[column - 1] if column else ""
    if column and word != SLOT:  # a missing word
        cost, words = rows[index][column - 1]
        ways.append((cost + weight(word), (*words, word)))
    if index:  # a superfluous word, or another word of a slot
        cost, words = rows[index - 1][column]
        ways.append((cost, (*words, heard)) if word == SLOT else (cost + _EXTRA * weight(heard), words))
    if index and column:  # the same or a misheard word
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
    """(intent, words, fixed words, weight of the fixed words)."""
    return tuple(
        (intent, words, frozenset(words) - {SLOT}, sum(weight(word) for word in words if word != SLOT))
        for intent, words in templates.skeletons()
        if intent not in NEVER
    )


def _worth_aligning(said: Sequence[str]) -> list[tuple[str, tuple[str, ...], float]]:
    there = frozenset(said)
    turns = TURNS & there
    found = []
    for intent, words, fixed, whole in _known():
        if turns - fixed or (OWN in fixed and OWN not in there):
            continue
        shared = fixed & there
        if sum(map(weight, shared)) < SHARED * whole or len(words) > len(said) + MAX_LENGTH_GAP:
            continue
        open_ended = SLOT in words
        if open_ended and (whole < MIN_SLOT_WEIGHT or all(word in SMALL for word in shared)):
            continue
        if open_ended or abs(len(words) - len(said)) <= MAX_LENGTH_GAP:
            found.append((intent, words, whole))
    return found


def nearest(text: str) -> list[tuple[float, str, str]]:
    """(likeness 0 to 1, intent, repaired sentence), best first, one per intent."""
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
