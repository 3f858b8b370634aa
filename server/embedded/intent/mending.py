"""Words of a template that are mistyped ("serach for cats") or misheard ("create a soldier called demo").

A mistyped word is mended. A misheard one is only suggested, and the user is asked, because it is another word that was said.
"""

from __future__ import annotations

import re
from functools import cache, lru_cache
from typing import TYPE_CHECKING

from server.embedded.intent import templates
from server.embedded.intent.words import OPAQUE, SaidWord

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MIN_CHARS = 4  # of a word that may be mended; shorter ones are too much alike
MIN_CHARS_WRONG = 6  # of one with a wrong letter
SOUNDS_LIKE = 0.8  # of two words: "soldier" and "folder" are 0.9 alike, "house" and "mouse" 0.8
MAX_WORDS = 12  # in a longer sentence, there are too many words to change
_VOWELS = frozenset("aeiouy")
# Consonants of the same class are easily confused by ear.
_CLASSES = {
    letter: kind for kind, letters in enumerate(("fsvzhx", "pb", "td", "kcgqj", "mn", "lrw")) for letter in letters
}
_VOWEL_COST, _CLASS_COST = 0.3, 0.4
# Recognisers write one for the other. Only what no template names is listed, so that it is never a template's own word.
_SOUND_THE_SAME = {
    "witch": "which", "wear": "where", "ware": "where", "wye": "why", "watt": "what", "reed": "read", "red": "read", "rite": "write",
    "fined": "find", "serge": "search", "thyme": "time",
}  # fmt: skip
_SLOT = re.compile(r"\{[^}]*\}")
_WORD = re.compile(r"[a-z]+")


@cache
def vocabulary() -> frozenset[str]:
    """All words that templates name."""
    intents = templates.document()["intents"].values()
    parts = [part for intent in intents for kind in ("data", "typed") for part in intent.get(kind, [])]
    sentences = (_SLOT.sub(" ", sentence) for part in parts for sentence in part["sentences"])
    return frozenset(word for sentence in sentences for word in _WORD.findall(sentence))


def mistyped(words: Sequence[SaidWord]) -> list[tuple[list[SaidWord], frozenset[str]]]:
    """The sentence with mistyped words mended, and the mended words; empty if none is."""
    return _mended(words, _typed_for)


def misheard(words: Sequence[SaidWord]) -> list[tuple[list[SaidWord], frozenset[str]]]:
    """The sentence with a word that sounds like one of a template in its place, likeliest first."""
    return _mended(words, _heard_for) if len(words) <= MAX_WORDS else []


def _mended(
    words: Sequence[SaidWord], meant: Callable[[str], tuple[str, ...]]
) -> list[tuple[list[SaidWord], frozenset[str]]]:
    """All other readings: each doubtful word once by each word meant, and all of them by their first."""
    doubtful = {
        at: found
        for at, word in enumerate(words)
        if word.key != OPAQUE and word.key.lower() not in vocabulary() and (found := meant(word.key.lower()))
    }
    ways = [{at: found[0] for at, found in doubtful.items()}] if len(doubtful) > 1 else []
    ways += [{at: one} for at, found in doubtful.items() for one in found]
    return [
        ([SaidWord(way[at], way[at]) if at in way else word for at, word in enumerate(words)], frozenset(way.values()))
        for way in ways
    ]


def imperative(word: SaidWord) -> SaidWord:
    """`opening` as `open`, if a template names that; as it is if none does."""
    key = word.key.lower()
    stem = key.removesuffix("ing")
    forms = [stem, f"{stem}e", stem[:-1]] if stem != key else []
    found = next((form for form in forms if len(form) > 1 and form in vocabulary()), "")
    return SaidWord(found, found) if found else word


@lru_cache(maxsize=1024)
def _typed_for(typed: str) -> tuple[str, ...]:
    """Words of templates that sound the same, or are one slip of the fingers away."""
    if typed in _SOUND_THE_SAME:
        return (_SOUND_THE_SAME[typed],)
    if len(typed) < MIN_CHARS:
        return ()
    return tuple(word for word in sorted(vocabulary()) if len(word) >= MIN_CHARS and _one_slip(typed, word))


def _one_slip(typed: str, word: str) -> bool:
    """A letter too many, missing or wrong, or two neighbours swapped (Damerau's distance is 1).

    Short words differ by one letter too often for a wrong one to be a slip: "loop" is not "look".
    """
    start = 0
    while start < min(len(typed), len(word)) and typed[start] == word[start]:
        start += 1
    one, other = typed[start:], word[start:]
    swapped = one[:2] == other[:2][::-1] and len(one) > 1 and one[2:] == other[2:]
    wrong = start > 0 and one[1:] == other[1:] and len(typed) >= MIN_CHARS_WRONG
    return swapped or one[1:] == other or one == other[1:] or wrong


@lru_cache(maxsize=1024)
def _heard_for(heard: str) -> tuple[str, ...]:
    """Words of templates that sound like it, likeliest first."""
    if len(heard) < MIN_CHARS:
        return ()
    alike = [(sound_likeness(heard, word), word) for word in vocabulary() if len(word) >= MIN_CHARS]
    return tuple(word for likeness, word in sorted(alike, reverse=True) if likeness >= SOUNDS_LIKE)


def sound_likeness(one: str, other: str) -> float:
    """1 for the same word. Edit distance in which vowels, and consonants of the same class, cost less."""
    above = [0.0]
    for letter in other:
        above.append(above[-1] + _cost(letter))
    for heard in one:
        row = [above[0] + _cost(heard)]
        for at, letter in enumerate(other):
            row.append(min(above[at + 1] + _cost(heard), row[at] + _cost(letter), above[at] + _swap(heard, letter)))
        above = row
    return 1.0 - above[-1] / max(len(one), len(other), 1)


def _cost(letter: str) -> float:
    """Of a letter too many, or missing."""
    return _VOWEL_COST if letter in _VOWELS else 1.0


def _swap(heard: str, letter: str) -> float:
    if heard == letter:
        return 0.0
    if heard in _VOWELS and letter in _VOWELS:
        return _VOWEL_COST
    return _CLASS_COST if heard in _CLASSES and _CLASSES[heard] == _CLASSES.get(letter) else 1.0
