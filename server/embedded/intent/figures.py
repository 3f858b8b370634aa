"""Number words of days and times in figures: `july fourth nineteen seventy six` is `july 4th 1976`, `ten oh five` is `10:05`. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_UNITS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve", "thirteen",
    "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
_TENS = {
    word: 10 * n
    for n, word in enumerate(("twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"), 2)
}
SMALL = {word: n for n, word in enumerate(_UNITS)} | _TENS  # each number word below a hundred
_ORDINALS = {
    "first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5, "sixth": 6, "seventh": 7, "eighth": 8, "ninth": 9, "tenth": 10,
    "eleventh": 11, "twelfth": 12, "thirteenth": 13, "fourteenth": 14, "fifteenth": 15, "sixteenth": 16, "seventeenth": 17,
    "eighteenth": 18, "nineteenth": 19, "twentieth": 20, "thirtieth": 30,
}  # fmt: skip
_SCALES = {"hundred": 100, "thousand": 1_000}
_CENTURIES = range(15, 22)  # of years that are said as two numbers
_SECOND = "second"  # also a unit: only a number behind these
_BEFORE_SECOND = re.compile(
    r"(?:the|january|february|march|april|may|june|july|august|september|october|november|december)\Z"
)
HYPHEN = re.compile(r"(?<=[a-z])-(?=[a-z])")  # `twenty-five`
_ENDINGS = {1: "st", 2: "nd", 3: "rd"}


def in_figures(text: str) -> str:
    """The text in lower case, with its numbers in figures."""
    words = HYPHEN.sub(" ", text.lower()).split()
    written: list[str] = []
    at = 0
    while at < len(words):
        figures, after = _number(words, at)
        if after == at:
            figures, after = words[at], at + 1
        else:
            figures += _marks(words[after - 1])
        written.append(figures)
        at = after
    return " ".join(written)


def _bare(words: Sequence[str], at: int) -> str:
    """The word there without its marks; empty at the end, and where a mark ended the word before."""
    return words[at].rstrip(",.?!") if at < len(words) else ""


def _marks(word: str) -> str:
    return word[len(word.rstrip(",.?!")) :]


def _number(words: Sequence[str], at: int) -> tuple[str, int]:
    """The number that begins there, and where it ends; there, if none begins."""
    ordinal, after = _ordinal(words, at)
    if after > at:
        return ordinal, after
    value, after = _small(words, at)
    if after == at:
        return "", at
    if _bare(words, after) in _SCALES:
        value, after = _scaled(words, value, after)
        return str(value), after
    if after < len(words) and not _marks(words[after - 1]):
        oh = _bare(words, after) in {"oh", "o"}
        second, end = _small(words, after + oh)
        if end > after + oh and _ordinal(words, after + oh)[1] == after + oh and (second < 10 if oh else second >= 10):
            if value in _CENTURIES and _bare(words, end) not in _SCALES:
                return f"{value}{second:02d}", end
            if 1 <= value <= 12 and second < 60:
                return f"{value}:{second:02d}", end
    return str(value), after


def _small(words: Sequence[str], at: int) -> tuple[int, int]:
    """A number below a hundred."""
    word = _bare(words, at)
    if word not in SMALL:
        return 0, at
    unit = SMALL.get(_bare(words, at + 1), 0) if word in _TENS and not _marks(words[at]) else 0
    return (SMALL[word] + unit, at + 2) if 0 < unit < 10 else (SMALL[word], at + 1)


def _ordinal(words: Sequence[str], at: int) -> tuple[str, int]:
    word, following = _bare(words, at), _ORDINALS.get(_bare(words, at + 1), 0)
    if word in _TENS and 0 < following < 10:
        return _with_ending(_TENS[word] + following), at + 2
    known = word in _ORDINALS and (word != _SECOND or (at > 0 and _BEFORE_SECOND.match(words[at - 1]) is not None))
    return (_with_ending(_ORDINALS[word]), at + 1) if known else ("", at)


def _with_ending(number: int) -> str:
    teen = 10 < number % 100 < 20
    return f"{number}{'th' if teen else _ENDINGS.get(number % 10, 'th')}"


def _scaled(words: Sequence[str], value: int, at: int) -> tuple[int, int]:
    """`two thousand and three`, `one hundred twenty`."""
    total = value * _SCALES[_bare(words, at)]
    at += 1
    joined = at + (_bare(words, at) == "and")
    more, end = _small(words, joined)
    if end == joined:
        return total, at
    if _bare(words, end) == "hundred" and total >= _SCALES["thousand"]:
        more, end = _scaled(words, more, end)
    return total + more, end
