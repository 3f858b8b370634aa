"""Numbers as they are dictated, digit by digit: which words belong to them, and codes in one piece."""

from __future__ import annotations

import re

DIGIT_WORDS = frozenset(
    {"zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "oh", "double"}
)
_LARGER = frozenset(
    {"ten", "eleven", "twelve", "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen"}
    | {"twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety", "hundred", "thousand", "million"}
    | {"triple", "point"}
)
_PARTS = re.compile(r"[^\W\d_]+|\d+")
_CODES = frozenset({"code", "passcode", "pin", "number", "zip", "postcode", "combination", "password", "extension"})
_DIGITS = re.compile(r"\d(?:-\d)*[.?!]?")
_ENDS = (".", "?", "!")
LEAST_DIGITS = 3  # of a code; two may be a score


def is_of_number(word: str) -> bool:
    """True for `4`, `4-4-1`, `$20.`, `four`, `twenty-three`: what comes next may change how they are written."""
    parts = _PARTS.findall(word.lower())
    return any(part.isdigit() for part in parts) or (
        bool(parts) and all(part in DIGIT_WORDS or part in _LARGER for part in parts)
    )


def with_codes_whole(words: list[tuple[str, list[int]]]) -> list[tuple[str, list[int]]]:
    """Words with their tokens: `code is 4-4-1-7.` and `code is 4 4 1 7.` become `code is 4417.`.

    Only behind the name of a code in the same sentence: other digits may be a sum, written `4-1-1`, or a list.
    """
    whole: list[tuple[str, list[int]]] = []
    at, named = 0, False
    while at < len(words):
        word, tokens = words[at]
        end = _digits_end([text for text, _ in words], at) if named else at
        if end > at:
            word = "".join(text for text, _ in words[at:end]).replace("-", "")
            tokens = [token for _, group in words[at:end] for token in group]
        whole.append((word, tokens))
        named = (named or word.lower().strip(",:") in _CODES) and not word.endswith(_ENDS)
        at = max(end, at + 1)
    return whole


def _digits_end(texts: list[str], at: int) -> int:
    """Where the single digits from there end; there, if they are too few."""
    end = at
    while end < len(texts) and _DIGITS.fullmatch(texts[end]) and not (end > at and texts[end - 1].endswith(_ENDS)):
        end += 1
    return end if sum(char.isdigit() for text in texts[at:end] for char in text) >= LEAST_DIGITS else at
