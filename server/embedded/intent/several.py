"""Several requests in one sentence: `create a folder called demo and list the files`.

It is divided only where each part is a clear request by itself, so that "search for salt and pepper" stays whole.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_PARTS = 4
MAX_CHARS = 300  # a longer text is a story rather than a list of requests
_MARKS = ".,;!? "
MAX_JOINTS = 6  # looked at from the left
MAX_JUDGED = 10  # different parts of one text; each takes some milliseconds

_JOINT = re.compile(
    r"\s*[,;.!?]?\s+(?P<then>and then|then|and after that|after that)\s+|\s*(?P<stop>[;.!?])\s+(?:and\s+)?(?:also,?\s+)?|\s*,?\s+and\s+(?:also\s+)?|\s*,\s+",
    re.IGNORECASE,
)

_MAKES = r"(?P<make>(?:create|make|add) (?:me )?(?:an? |the )?(?:new |empty )*(?P<kind>folder|directory|file) (?:called|named) )"
# "create a folder called one and another called two", and as one goes on after a pause: ". And then make one called two"
_ANOTHER = re.compile(
    rf"\b{_MAKES}(?P<first>(?:(?!(?:folder|directory|file) (?:called|named) ).)+?)[,.;]? (?:(?:and|plus|then|also),? )+(?:(?:create|make|add) (?:me )?)?(?:another|an?other one|a second|one|one more)(?: one| (?P=kind))? (?:called|named) ",
    re.IGNORECASE,
)
# "create a folder called one and a file called two"
_AND_A = re.compile(
    rf"\b{_MAKES}(?P<first>.+?)(?:,? (?:and|plus)|,) an? (?P<other>(?:new |empty )*(?:folder|directory|file) (?:called|named) )",
    re.IGNORECASE,
)

Clear = str
"""The intent of a clear request; empty for anything else."""
# What is remembered or echoed may have the words of a request: only "then" or the end of a sentence divides it from the next,
# or "and my …", which is remembered too, and what is asked of the agent.
FREE = "remember_fact"
_FREE = frozenset({FREE, "remember"})
# Asked of the agent, and no part of what it is to remember: "remember that I like tea and tell me the time".
_TO_AGENT = re.compile(
    r"(?:also |please |now )*(?:(?:can|could|would|will) you (?:please )?)?(?:(?:tell|show|give|read) me\b|what(?:'s| is) the (?:time|date)\b|what (?:time|day|date) is it\b)",
    re.IGNORECASE,
)


def requests_of(text: str, clear: Callable[[str], Clear]) -> list[str]:
    """The requests, at most MAX_PARTS; empty if the text is not several. `clear` judges one part."""
    if len(text) > MAX_CHARS:
        return []
    seen: dict[str, Clear] = {}

    def judged(part: str) -> Clear:
        if part not in seen:
            seen[part] = clear(part) if len(seen) < MAX_JUDGED else ""
        return seen[part]

    parts: list[str] = []
    rest = text.strip()
    for _ in range(MAX_PARTS):
        rest = _ANOTHER.sub(r"\g<make>\g<first> and \g<make>", rest)
        rest = _AND_A.sub(r"\g<make>\g<first> and create a \g<other>", rest)
    while len(parts) < MAX_PARTS - 1 and (divided := _divided(rest, judged)):
        parts.append(divided[0])
        rest = divided[1]
    if not parts or not judged(rest):
        return []
    all_different = len({part.lower().strip(_MARKS) for part in (*parts, rest)}) == len(parts) + 1
    return [*parts, rest] if all_different else []


def _divided(text: str, clear: Callable[[str], Clear]) -> tuple[str, str] | None:
    """The first request, and the rest, which begins with another one."""
    for _, joint in zip(range(MAX_JOINTS), _JOINT.finditer(text), strict=False):
        first, rest = text[: joint.start()].strip(), text[joint.end() :].strip()
        if not first or not rest:
            continue
        intent = clear(first)
        if not intent:
            continue  # without a look at the rest: most joints of a text divide nothing
        follows = clear(rest)
        divides = (
            joint["then"]
            or joint["stop"]
            or intent not in _FREE
            or intent == follows == "remember"
            or _TO_AGENT.match(rest)
        )
        if divides and (follows or _divided(rest, clear)):
            return first, rest
    return None
