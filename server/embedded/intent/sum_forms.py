"""Ways to put a sum in words other than "five plus three": `add 20 percent to 50`, `half of 90`, `what percent of 80 is 20`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence

    Number = int | float

# A and B are numbers, a|b are alternatives. The operation comes first, then its two numbers.
_FORMS: tuple[tuple[str, str, str | int, str | int], ...] = (
    ("add A and|to B", "plus", "A", "B"),
    ("sum A and B", "plus", "A", "B"),
    ("sum of A and B", "plus", "A", "B"),
    ("take|subtract|deduct|knock A from|off B", "minus", "B", "A"),
    ("take away A from B", "minus", "B", "A"),
    ("take A away from B", "minus", "B", "A"),
    ("how many times does|do A go into|in B", "divided by", "B", "A"),
    ("difference between|of A and B", "minus", "A", "B"),
    ("multiply A by|and|with B", "times", "A", "B"),
    ("product of A and B", "times", "A", "B"),
    ("divide A by B", "divided by", "A", "B"),
    ("split|share A by|between|among B", "divided by", "A", "B"),
    ("split|share A between|among B people|friends|ways", "divided by", "A", "B"),
    ("A less than B", "minus", "B", "A"),
    ("A more than B", "plus", "B", "A"),
    ("half of A", "divided by", "A", 2),
    ("half A", "divided by", "A", 2),
    ("third of A", "divided by", "A", 3),
    ("quarter of A", "divided by", "A", 4),
    ("three quarters of A", "percent of", 75, "A"),
    ("double|twice A", "times", "A", 2),
    ("triple A", "times", "A", 3),
    ("A squared", "times", "A", "A"),
    ("A cubed", "power", "A", 3),
    ("A to the power of B", "power", "A", "B"),
    ("A to the power B", "power", "A", "B"),
    ("A to the B", "power", "A", "B"),
    *(
        (f"A to the {nth} power", "power", "A", n)
        for n, nth in enumerate(("second", "third", "fourth", "fifth", "sixth"), 2)
    ),
    ("A ^ B", "power", "A", "B"),
    ("square root of|from A", "root", "A", 2),
    ("square root A", "root", "A", 2),
    ("√ A", "root", "A", 2),
    ("cube|cubic root of|from A", "root", "A", 3),
    ("A mod|modulo|modulus B", "remainder", "A", "B"),
    ("remainder of A divided by B", "remainder", "A", "B"),
    ("remainder when A is divided by B", "remainder", "A", "B"),
    ("add|put A percent to|on B", "plus percent", "B", "A"),
    ("add A percent tip|tax|vat|interest to B", "plus percent", "B", "A"),
    ("increase|raise B by A percent", "plus percent", "B", "A"),
    ("B plus|+ A percent", "plus percent", "B", "A"),
    ("B and|with A percent more", "plus percent", "B", "A"),
    ("A percent more than B", "plus percent", "B", "A"),
    ("A percent less than B", "minus percent", "B", "A"),
    ("subtract|take|deduct|knock A percent from|off B", "minus percent", "B", "A"),
    ("decrease|reduce|lower B by A percent", "minus percent", "B", "A"),
    ("B minus|less|-|−|– A percent", "minus percent", "B", "A"),
    ("A percent off|discount|from B", "minus percent", "B", "A"),
    ("A percent discount|reduction on|off|of|from B", "minus percent", "B", "A"),
    ("A percent tip|tax|vat|interest on|of B", "percent of", "A", "B"),
    ("A percent on|from B", "percent of", "A", "B"),
    ("what|which percent|percentage of B is|are A", "share", "A", "B"),
    ("how many percent of B is|are A", "share", "A", "B"),
    ("how many percent is|are A of|from B", "share", "A", "B"),
    ("A is|are what|which percent|percentage of B", "share", "A", "B"),
    ("A out of|off B in|as percent", "share", "A", "B"),
    ("A out of B as a percentage", "share", "A", "B"),
    ("A of B in|as percent", "share", "A", "B"),
    ("A of B as a percentage", "share", "A", "B"),
)
# Before three or more numbers: `add 5 and 7 and 3`, `the sum of 1, 2 and 3`.
_LISTS: tuple[tuple[str, str], ...] = (
    ("add up", "plus"),
    ("add", "plus"),
    ("sum of", "plus"),
    ("total of", "plus"),
    ("multiply", "times"),
    ("product of", "times"),
)
COMMA = ","
_JOINERS = frozenset({COMMA, "and", "by", "with", "to"})  # between the numbers of a list
_LEAST_LISTED = 3
_PATTERNS = tuple((tuple(form.split()), operation, first, second) for form, operation, first, second in _FORMS)
WORDS = frozenset(
    word
    for form in (*(form for form, *_ in _FORMS), *(lead for lead, _ in _LISTS))
    for part in form.split()
    if not part.isupper()
    for word in part.split("|")
)
_POWERS = frozenset({"squared", "cubed", "power", "to", "^"})  # after a number
_ARTICLES = frozenset({"the", "a", "an"})


class Numbers(Protocol):
    """Reads tokens one after the other."""

    at: int

    @property
    def next(self) -> str: ...

    def take(self, *words: str) -> bool: ...

    def number(self) -> Number | None: ...

    def operator(self) -> str: ...


def _values(pattern: Sequence[str], reader: Numbers) -> dict[str, Number] | None:
    """The numbers of a form that fits all tokens."""
    found: dict[str, Number] = {}
    for part in pattern:
        if part.isupper():
            number = reader.number()
            if number is None:
                return None
            found[part] = number
        elif not any(reader.take(word) for word in part.split("|")):
            return None
    return None if reader.next else found


def read_form(reader: Numbers) -> dict[str, Any] | None:
    """The entities of `calculate`, if a form fits what follows."""
    began = reader.at
    if reader.next in _ARTICLES:
        began += 1
    for pattern, operation, first, second in _PATTERNS:
        reader.at = began
        found = _values(pattern, reader)
        if found is None:
            continue
        if pattern[0] == "A" and _POWERS.intersection(pattern) and found["A"] < 0:
            exponent = 2 if second == "A" else _one(second, found)
            return {"tree": ["minus", 0, ["power", -found["A"], exponent]]}  # as in trees: -5^2 is -25
        return {"first": _one(first, found), "operation": operation, "second": _one(second, found)}
    reader.at = began
    return None


def read_list(reader: Numbers) -> dict[str, Any] | None:
    """The entities of `calculate`, if a list of three or more numbers follows; `then` has those after the second."""
    began = reader.at + (reader.next in _ARTICLES)
    for lead, operation in _LISTS:
        reader.at = began
        if reader.take(*lead.split()) and (numbers := _listed(reader)) is not None:
            first, second, *rest = numbers
            return {
                "first": first,
                "operation": operation,
                "second": second,
                "then": [part for number in rest for part in (operation, number)],
            }
    reader.at = began
    return None


def _listed(reader: Numbers) -> list[Number] | None:
    """All numbers up to the end; None if something else is among them, or there are too few."""
    numbers: list[Number] = []
    while reader.next:
        number = reader.number()
        if number is None:
            return None
        numbers.append(number)
        while reader.next in _JOINERS:
            reader.at += 1
    return numbers if len(numbers) >= _LEAST_LISTED else None


def _one(named: str | int, found: dict[str, Number]) -> Number:
    return found[named] if isinstance(named, str) else named
