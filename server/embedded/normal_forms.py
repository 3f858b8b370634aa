"""Unicode's normal forms, in linear time for any text.

Combining marks in the wrong order are sorted by CPython in quadratic time: 20,000 in a row kept the whole process for a second. No
language writes more than a few to a letter, so longer rows are interrupted as in Unicode's Stream-Safe Text Format (UAX #15, section 13).
"""

from __future__ import annotations

import unicodedata
from functools import lru_cache
from typing import Literal

MOST_MARKS = 30  # in a row, as UAX #15 has it
JOINER = "\u034f"  # the invisible character that UAX #15 interrupts them with


def normal(form: Literal["NFC", "NFKC"], text: str) -> str:
    """The text in that form. Its rows of marks are interrupted, so that the cost is linear."""
    return text if text.isascii() else unicodedata.normalize(form, stream_safe(text))


def stream_safe(text: str) -> str:
    """The text, with a JOINER wherever more than MOST_MARKS marks would stand in a row once it is decomposed."""
    safe, marks = list[str](), 0
    for char in text:
        before, after, only_marks = _marks(char)
        if marks + before > MOST_MARKS:
            safe.append(JOINER)
            marks = 0
        safe.append(char)
        marks = marks + before if only_marks else after
    return "".join(safe)


@lru_cache(maxsize=4_096)
def _marks(char: str) -> tuple[int, int, bool]:
    """The marks that the decomposed character begins with and ends with, and whether it has nothing else."""
    marks = [unicodedata.combining(part) != 0 for part in unicodedata.normalize("NFKD", char)]
    if all(marks):
        return len(marks), len(marks), True
    return marks.index(False), marks[::-1].index(False), False
