"""Words on a page's button that stand for harm: safety asks about a click on them, and the browser checks what it is about to click."""

from __future__ import annotations

import re

DESTROYING = frozenset({
    "delete", "remove", "erase", "destroy", "deactivate", "terminate", "buy", "pay", "purchase", "order", "checkout", "donate",
    "transfer", "withdraw", "bid",
})  # fmt: skip
EFFECTIVE = frozenset({
    "subscribe", "unsubscribe", "submit", "send", "post", "publish", "confirm", "approve", "authorize", "authorise",
})  # fmt: skip

_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORDS = re.compile(r"[a-z0-9]+")


def words_of(text: str) -> set[str]:
    """The words of a selector or of what is written on an element, in lower case; `payButton` has two."""
    return set(_WORDS.findall(_CAMEL.sub(" ", text).lower()))


def risky_words(text: str) -> set[str]:
    """Those of its words that safety asks about."""
    return words_of(text) & (DESTROYING | EFFECTIVE)
