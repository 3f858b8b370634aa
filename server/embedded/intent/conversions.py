"""Requests to convert units: `5 km in miles`, `how many feet are in a mile`, `how tall is 6 foot 2 in centimeters`."""

from __future__ import annotations

import re
from functools import cache
from typing import TYPE_CHECKING, Any

from server.embedded.intent.sums import number_in
from server.embedded.intent.units import Unit, unit_called, units

if TYPE_CHECKING:
    from re import Pattern

MAX_CHARS = 100  # nobody says a longer one

_LEAD = (
    r"(?:(?:what (?:is|are)|how much (?:is|are)|how (?:tall|long|far|high|wide|heavy|big|hot|cold|warm|fast) (?:is|are)"
    r"|convert|change|turn|tell me) )?"
)
# `6 foot 2` is two inches more; no other unit is left out.
_LEFT_OUT = {"foot": "inch"}
_FEET = re.compile(r"\b(\d+)\s*['′’]\s*(\d+)\s*(?:[\"″”]|'')?(?=\s|\Z)")  # 5'11"
_HALF = re.compile(r"(?:(?P<whole>.+) and )?(?:a half|half an?|half)\Z")
_AND_A_HALF = " and a half"  # `an hour and a half`
_ARTICLES = frozenset({"", "a", "an", "one"})


@cache
def _patterns() -> tuple[Pattern[str], ...]:
    """Each has the groups `given`, an amount with its unit, and `into`."""
    names = "|".join(sorted(map(re.escape, units()), key=len, reverse=True))
    into = rf"(?P<into>{names})"
    given = r"(?P<given>.+)"
    return tuple(
        re.compile(pattern)
        for pattern in (
            rf"{_LEAD}{given} (?:in|into|to|as) {into}\Z",
            rf"(?:i'm|i am|it's|it is|i weigh|i have|that's|that is|if (?:it's|it is|i'm|i am))? ?(?P<given>.+?),? (?:what|how (?:much|many|tall|long|far)) (?:is|are) (?:that|it|they) (?:in|into|as) {into}\Z",
            rf"how (?:many|much) {into} (?:are|is) (?:there )?(?:in )?{given}\Z",
            rf"how (?:many|much) {into} (?:are )?(?:in|per|to) {given}\Z",
            rf"how (?:many|much) {into} (?:do|does) {given} (?:have|make|contain)\Z",
        )
    )


@cache
def _quantity() -> Pattern[str]:
    names = "|".join(sorted(map(re.escape, units()), key=len, reverse=True))
    return re.compile(
        rf"(?P<amount>.*?)\s*(?P<unit>(?<![^\W\d])(?:{names}))(?:\s+(?:and\s+)?(?P<more>[\w. ]+?)(?:\s*(?P<rest>(?<![^\W\d])(?:{names})))?)?\Z"
    )


def conversion_of(text: str) -> dict[str, Any] | None:
    """The entities of `convert`; None if no conversion is asked for."""
    said = _FEET.sub(r"\1 foot \2", " ".join(text.lower().replace("?", " ").split()).rstrip(".! "))
    if len(said) > MAX_CHARS:
        return None
    for pattern in _patterns():
        found = pattern.match(said)
        given = _given(found["given"]) if found else None
        into = unit_called(found["into"]) if found else None
        if given is not None and into is not None:
            return {**given, "into": into.name}
    return None


def _given(words: str) -> dict[str, Any] | None:
    """`5 km`, `a mile`, `half a mile`, `6 foot 2`, `5 pounds 3 ounces`."""
    whole = words.removesuffix(_AND_A_HALF)
    found = _quantity().match(whole.removeprefix("the ").replace("half of ", "half "))
    unit = unit_called(found["unit"]) if found else None
    amount = _amount(found["amount"]) if found else None
    if found is None or unit is None or amount is None:
        return None
    entities = {"amount": amount + 0.5 if whole != words else amount, "unit": unit.name}
    if found["more"] is None:
        return entities
    more, rest = _amount(found["more"]), _rest(unit, found["rest"])
    if more is None or rest is None:
        return None
    return {**entities, "more": more, "more_unit": rest.name}


def _rest(unit: Unit, name: str | None) -> Unit | None:
    """The unit of the second amount, which measures the same."""
    rest = unit_called(name or _LEFT_OUT.get(unit.name, ""))
    return rest if rest is not None and rest.dimension == unit.dimension else None


def _amount(words: str) -> int | float | None:
    bare = words.strip()
    if bare in _ARTICLES:
        return 1
    half = _HALF.match(bare)
    if half is None:
        return number_in(bare)
    whole = _amount(half["whole"]) if half["whole"] else 0
    return None if whole is None else whole + 0.5
