"""Splits incoming text into pieces to speak: complete sentences, with long ones cut at clauses or words."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from enum import Enum

MAX_PIECE_CHARS = 300  # how much another speaker may have to wait for: some 20 ms of synthesis
ABBREVIATIONS = frozenset(
    ["mr", "mrs", "ms", "dr", "prof", "st", "vs", "jr", "sr", "fig", "approx", "e.g", "i.e", "cf"]
)

_SENTENCE_END = re.compile(r"""[.!?…]+["'”’»)\]]*(?=\s)|[。！？]+["'”’」』）]*|\n""")
_CLAUSE_END = re.compile(r"[,;:–—]\s+|[、，；：]")
_LAST_WORD = re.compile(r"\S+$")


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
        """`text` with spaces for characters that eSpeak would interpret or cannot say; the length is unchanged."""
        return "".join(" " if unicodedata.category(char) in {"Cc", "Cs", "Co", "Cn"} else char for char in self.text)

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
        pieces: list[Piece] = []
        while (end := self._sentence_end()) is not None:
            pieces += _cut(self._open[:end], Boundary.SENTENCE)
            self._open = self._open[end:]
        if len(self._open) > MAX_PIECE_CHARS:
            *early, last = _cut(self._open, Boundary.SENTENCE)
            pieces += early
            self._open = last.text
        return pieces

    def flush(self) -> list[Piece]:
        """The remaining pieces."""
        rest, self._open = self._open, ""
        return _cut(rest, Boundary.SENTENCE) if rest else []

    def _sentence_end(self) -> int | None:
        for match in _SENTENCE_END.finditer(self._open):
            word = _LAST_WORD.search(self._open[: match.start()])
            if match[0] == "." and word is not None and _abbreviated(word[0]):
                continue
            return match.end()
        return None


def _abbreviated(word: str) -> bool:
    """True if a dot after the word does not end a sentence: Dr. Who, J. R. R. Tolkien."""
    return word.lower().lstrip("(\"'“‘") in ABBREVIATIONS or (len(word) == 1 and word.isupper() and word != "I")


def _cut(text: str, boundary: Boundary) -> list[Piece]:
    """One piece, or several if it is too long."""
    pieces = []
    while len(text) > MAX_PIECE_CHARS:
        head = text[:MAX_PIECE_CHARS]
        clause = max((match.end() for match in _CLAUSE_END.finditer(head)), default=0)
        space = head.rfind(" ") + 1
        end = clause or space or MAX_PIECE_CHARS
        pieces.append(Piece(text[:end], Boundary.CLAUSE if clause else Boundary.WORD))
        text = text[end:]
    return [*pieces, Piece(text, boundary)]
