"""The words of a query that carry its meaning."""

from __future__ import annotations

import re

# Words that say nothing about what is wanted.
FILLERS = frozenset(
    (
        *("a", "about", "an", "and", "any", "are", "at", "be", "by", "can", "do", "does", "for", "from", "get", "give"),
        *("how", "i", "in", "info", "information", "is", "it", "me", "my", "of", "on", "or", "page", "pages", "please"),
        *("show", "some", "something", "tell", "that", "the", "there", "this", "to", "was", "what", "when", "where"),
        *("which", "who", "why", "with", "you"),
    )
)
SHORT_CHARS, ENDING_CHARS = 3, 2
STEM_CHARS = 5  # length to which `tutorials` and `tutorial` are cut to be equal

_WORD = re.compile(r"\w+")


def telling_words(text: str) -> list[str]:
    """The distinct words in lower case, without fillers; with them if there are no others."""
    words = list(dict.fromkeys(_WORD.findall(text.lower())))
    return [word for word in words if word not in FILLERS] or words


def mentioned(text: str, query: str) -> float:
    """The share of the query's meaningful words that the text has, apart from their endings."""
    lowered = text.lower()
    there = {word[:STEM_CHARS] for word in _WORD.findall(lowered)}
    asked = [word[:STEM_CHARS] for word in telling_words(query)]
    # A script without spaces has its words anywhere.
    found = [
        stem for stem in asked if any(_alike(stem, word) for word in there) or (not stem.isascii() and stem in lowered)
    ]
    return len(found) / len(asked) if asked else 1.0


def _alike(stem: str, other: str) -> bool:
    """True for the same stem, or for one that is longer by the ending of a short word: `like` and `likes`."""
    short, long = sorted((stem, other), key=len)
    return long == short or (
        len(short) >= SHORT_CHARS and long.startswith(short) and len(long) <= len(short) + ENDING_CHARS
    )
