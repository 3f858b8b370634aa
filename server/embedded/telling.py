"""The words of a question that say what it is about."""

from __future__ import annotations

import re

# Words that say nothing of what is looked for.
FILLERS = frozenset(
    (
        *("a", "about", "an", "and", "any", "are", "at", "be", "by", "can", "do", "does", "for", "from", "get", "give"),
        *("how", "i", "in", "info", "information", "is", "it", "me", "my", "of", "on", "or", "page", "pages", "please"),
        *("show", "some", "something", "tell", "that", "the", "there", "this", "to", "was", "what", "when", "where"),
        *("which", "who", "why", "with", "you"),
    )
)
STEM_CHARS = 5  # by which `tutorials` and `tutorial` are one word

_WORD = re.compile(r"\w+")


def telling_words(text: str) -> list[str]:
    """In lower case, each once; all words where every one is a filler."""
    words = list(dict.fromkeys(_WORD.findall(text.lower())))
    return [word for word in words if word not in FILLERS] or words


def mentions(text: str, query: str) -> bool:
    """Are all telling words of the query in the text, but for their endings?"""
    lowered = text.lower()
    return all(word[:STEM_CHARS] in lowered for word in telling_words(query))
