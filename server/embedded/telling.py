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
STEM_CHARS = 5  # length to which `tutorials` and `tutorial` are cut to be equal

_WORD = re.compile(r"\w+")


def telling_words(text: str) -> list[str]:
    """The distinct words in lower case, without fillers; with them if there are no others."""
    words = list(dict.fromkeys(_WORD.findall(text.lower())))
    return [word for word in words if word not in FILLERS] or words


def mentions(text: str, query: str) -> bool:
    """True if the text has all meaningful words of the query, apart from their endings."""
    lowered = text.lower()
    return all(word[:STEM_CHARS] in lowered for word in telling_words(query))
