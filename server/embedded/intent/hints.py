"""What is meant by words that no template puts in this way: `is my disk full`, `snap a screenshot`.

A hint names words that together say what is asked for. The rest of the sentence are small words, and if the hint has two words or
more, or says so, one other ("snap").
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, NamedTuple

from server.embedded.intent import templates
from server.embedded.intent.likeness import SMALL, TURNS
from server.embedded.intent.words import OPAQUE

if TYPE_CHECKING:
    from collections.abc import Sequence

    from server.embedded.intent.words import SaidWord

_MARKS = ".,;:!?"
MAX_WORDS = 9  # a longer sentence says more than a hint
_SMALL = SMALL | frozenset(
    {"my", "me", "there", "here", "any", "some", "all", "can", "could", "will", "just", "now", "have", "got", "has", "your", "our"}
    | {"again", "quickly", "really", "one", "by", "from", "out", "how", "what", "which", "much", "many", "tell", "show", "give", "let"}
    | {"so", "then", "well", "please", "just", "already", "am", "check", "get", "see", "its", "today"}
)  # fmt: skip


class Hint(NamedTuple):
    """The words, each with its alternatives, and what they mean."""

    words: tuple[frozenset[str], ...]
    intent: str
    entities: dict[str, Any]
    beside: int  # words that are neither small nor named by the hint, at most


@cache
def _hints() -> tuple[Hint, ...]:
    """Those with most words first."""
    found = [
        Hint(
            tuple(frozenset(word.split("|")) for word in words.split()),
            intent,
            part.get("slots", {}),
            part.get("beside", int(" " in words)),
        )
        for intent, entry in templates.document()["intents"].items()
        for part in entry.get("hints", [])
        for words in part["words"]
    ]
    return tuple(sorted(found, key=lambda hint: -len(hint.words)))


def hinted(words: Sequence[SaidWord], *, wholly: bool) -> tuple[str, dict[str, Any]] | None:
    """The intent with its entities; None if no hint fits. `wholly`: without any word beside the hint's and small ones."""
    keys = [word.key.lower() for word in words]
    if any(word.said.endswith(tuple(_MARKS)) for word in words[:-1]):
        return None  # two clauses
    if not 0 < len(keys) <= MAX_WORDS or TURNS & set(keys) or OPAQUE in keys:
        return None
    for hint in _hints():
        named = frozenset().union(*hint.words)
        beside = [key for key in keys if key not in named and key not in _SMALL]
        if all(word & set(keys) for word in hint.words) and len(beside) <= (0 if wholly else hint.beside):
            return hint.intent, dict(hint.entities)
    return None
