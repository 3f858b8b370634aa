"""Words on a page's button that stand for harm: safety asks about a click on them, and the browser checks what it is about to click."""

from __future__ import annotations

import re

from server.embedded.normal_forms import normal

DESTROYING = frozenset({
    "delete", "remove", "erase", "destroy", "deactivate", "terminate", "buy", "pay", "purchase", "order", "checkout", "donate",
    "transfer", "withdraw", "bid",
})  # fmt: skip
EFFECTIVE = frozenset({
    "subscribe", "unsubscribe", "submit", "send", "post", "publish", "confirm", "approve", "authorize", "authorise",
})  # fmt: skip

_NOUNS = frozenset({"purchase", "order", "checkout", "transfer", "bid", "post"})  # "orders" and "posts" are things
_DOUBLED = frozenset({"submit"})  # "submitting"
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_WORDS = re.compile(r"[a-z0-9]+")
# What is not seen of a text: soft hyphens, joiners, marks of direction and the like (Unicode's Default_Ignorable_Code_Point)
_UNSEEN = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f\ufeff"
    "\uffa0\ufff0-\ufffc\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)


def _forms(verb: str) -> set[str]:
    """`deletes`, `deleting`. Not `deleted`: what is done is mostly a name, as of a folder."""
    stem = verb + verb[-1] if verb in _DOUBLED else verb.removesuffix("e")
    return {f"{verb}es" if verb.endswith("sh") else f"{verb}s", f"{stem}ing"}


_VERBS = {form: verb for verb in (DESTROYING | EFFECTIVE) - _NOUNS for form in _forms(verb)}


def as_seen(text: str) -> str:
    """The text as a person reads it: without what is not seen, and in letters of the usual width and style."""
    return text if text.isascii() else _UNSEEN.sub("", normal("NFKC", _UNSEEN.sub("", text)))


def words_of(text: str) -> set[str]:
    """The words of a selector or of what is written on an element, in lower case; `payButton` has two, and `deletes` is `delete` too."""
    words = set(_WORDS.findall(_CAMEL.sub(" ", as_seen(text)).lower()))
    return words | {_VERBS[word] for word in words & _VERBS.keys()}


def risky_words(text: str) -> set[str]:
    """Those of its words that safety asks about."""
    return words_of(text) & (DESTROYING | EFFECTIVE)
