"""Splits incoming text into pieces to speak: complete sentences, with long ones cut at clauses or words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum
from functools import lru_cache
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

MAX_PIECE_COST = 300  # in letters; how much another speaker may have to wait for: 20 ms of synthesis, or 0.2 s of the natural voice's
# Some characters stand for words, or for a syllable: "≠" is "not equal to". Measured in seconds of speech, a letter being 1.
DIGIT_COST, SIGN_COST, IDEOGRAPH_COST = 5, 13, 3
_IDEOGRAPHS = 0x2E80  # those, kana and hangul begin there
ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "fig", "approx", "e.g", "i.e", "cf"]
)

# eSpeak NG writes beyond its arrays at some words: of 200 "İ" in Romanian. At words of this length it did not: of any letter below U+3100
# in Romanian, Turkish and English, and of "İ", "ı", "ì" and "Ĳ" in all 137 voices.
MAX_WORD_CHARS = 100
LONG_WORD = re.compile(rf"\S{{{MAX_WORD_CHARS}}}(?=\S)")  # the beginning of a longer one

SIGNS_IN_A_ROW = 3  # of the same sign: a line of 80 "=" would be a minute of "equals"
_SIGN_RUN = re.compile(r"([^\w\s]|_)\1{3,}")

# Nothing is read twice: thousands of dots, or of letters with dots, are read as fast as words.
_SENTENCE_END = re.compile(r"""(?<![.!?…])[.!?…]++["'”’»)\]]*+(?=\s)|[。！？]+["'”’」』）]*|\n""")
_CLAUSE_END = re.compile(r"[,;:–—]\s+|[、，；：]")
_LAST_WORD = re.compile(r"\S+$")
_LAST_WORD_CHARS = 16  # longer ones are no abbreviations


class Boundary(Enum):
    """How a piece ends; the value is the pause before the next one in milliseconds, as eSpeak makes it at speed 1."""

    SENTENCE = 290
    CLAUSE = 140
    WORD = 0


@dataclass(frozen=True, slots=True)
class Piece:
    """A piece of text with its white space; joined, the pieces are the text."""

    text: str
    boundary: Boundary

    @property
    def speakable(self) -> str:
        """`text` with spaces for characters that eSpeak would interpret or cannot say, and for signs in a row; the length is unchanged."""
        said = "".join(" " if unicodedata.category(char) in {"Cc", "Cs", "Co", "Cn"} else char for char in self.text)
        return _SIGN_RUN.sub(lambda run: run[0][:SIGNS_IN_A_ROW].ljust(len(run[0])), said)

    @property
    def silent(self) -> bool:
        """True if there is nothing to say."""
        return not any(char.isalnum() or unicodedata.category(char).startswith("S") for char in self.text)


class PieceCutter:
    """Splits text as it arrives."""

    def __init__(self) -> None:
        self._open = ""

    def feed(self, text: str) -> list[Piece]:
        """The pieces completed by this text."""
        self._open += text
        pieces, start = list[Piece](), 0
        for end in self._sentence_ends():
            pieces += _cut(self._open[start:end], Boundary.SENTENCE)
            start = end
        self._open = self._open[start:]
        if cost(self._open) > MAX_PIECE_COST:
            *early, last = _cut(self._open, Boundary.SENTENCE)
            pieces += early
            self._open = last.text
        return pieces

    def flush(self) -> list[Piece]:
        """The remaining pieces."""
        rest, self._open = self._open, ""
        return _cut(rest, Boundary.SENTENCE) if rest else []

    def _sentence_ends(self) -> Iterator[int]:
        for match in _SENTENCE_END.finditer(self._open):
            dot = match.start()
            word = _LAST_WORD.search(self._open[max(0, dot - _LAST_WORD_CHARS) : dot])
            if match[0] != "." or word is None or not _abbreviated(word[0]):
                yield match.end()


def _abbreviated(word: str) -> bool:
    """True if a dot after the word does not end a sentence: Dr. Who, J. R. R. Tolkien."""
    return word.lower().lstrip("(\"'“‘") in ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")


def _cut(text: str, boundary: Boundary) -> list[Piece]:
    """One piece, or several if it is too long."""
    pieces = []
    while head := _head(text):
        clause = max((match.end() for match in _CLAUSE_END.finditer(head)), default=0)
        space = head.rfind(" ") + 1
        end = clause or space or len(head)
        pieces.append(Piece(text[:end], Boundary.CLAUSE if clause else Boundary.WORD))
        text = text[end:]
    return [*pieces, Piece(text, boundary)]


def _head(text: str) -> str:
    """As much of the text as a piece may have; empty if all of it fits into one."""
    costs = accumulate(map(_cost, text))
    fitting = next((at for at, so_far in enumerate(costs) if so_far > MAX_PIECE_COST), len(text))
    return "" if fitting == len(text) else text[:fitting]


def cost(text: str) -> int:
    """What it costs to speak the text, in letters."""
    return sum(map(_cost, text))


def surplus(text: str) -> int:
    """By how much digits and signs make the text longer than as many letters."""
    said = _SIGN_RUN.sub(lambda run: run[0][:SIGNS_IN_A_ROW], text)
    return sum(_cost(char) - 1 for char in said if _cost(char) >= DIGIT_COST)


@lru_cache(maxsize=4_096)
def _cost(char: str) -> int:
    kind = unicodedata.category(char)
    if kind == "Nd":
        return DIGIT_COST
    if kind[0] in "NS" or char in "%&@#*/":
        return SIGN_COST
    return IDEOGRAPH_COST if kind == "Lo" and ord(char) >= _IDEOGRAPHS else 1
