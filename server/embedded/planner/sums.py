"""Small sums, calculated exactly and told in words."""

from __future__ import annotations

import math
from fractions import Fraction
from statistics import median
from typing import TYPE_CHECKING, Any

from server.embedded.planner.spoken_values import spoken_value

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DECIMALS = 4  # beyond this the result is "about"
SMALL = Fraction(1, 1000)  # a smaller result has MIN_DIGITS significant digits instead, so that it is not "about 0"
MIN_DIGITS = 3
MOST_DECIMALS = 15
MAX_POWER_BITS = 4_000  # before its size is looked at: takes microseconds
MAX_POWER_DIGITS = 18  # of a power; nobody listens to more
MAX_FACTORIAL = 19  # has 18 digits
MAX_DIGITS = 4 * MAX_POWER_DIGITS  # of what is calculated with, before and behind its point: far within a double

CHAINED = frozenset({"plus", "minus", "times", "divided by"})  # may follow each other in one sum
OWN_WORDS = frozenset({"share", "power", "root", "remainder"})  # operations with a reply of their own
TOO_LONG = "calculate_tree_never"  # the reply to what has too many digits


class UnspeakableError(ArithmeticError):
    """The result has too many digits to be said, or is no real number."""


class TooLongError(UnspeakableError):
    """A number has more than MAX_DIGITS."""


def exact(number: Any) -> Fraction:
    """A number by its decimal digits, so that 0.1 is exactly a tenth. Raises TooLongError."""
    return _short(Fraction(str(number)))


def _short(number: Fraction) -> Fraction:
    if max(abs(number.numerator), number.denominator) >= 10**MAX_DIGITS:
        raise TooLongError
    return number


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    most = max(abs(base.numerator), base.denominator)
    if exponent.denominator != 1:
        return _fractional_power(base, exponent)
    if most > 1 and abs(exponent) * most.bit_length() > MAX_POWER_BITS:
        raise UnspeakableError
    found = (
        Fraction(base**exponent.numerator)
        if base or exponent > 0
        else Fraction(1, exponent.denominator * int(exponent == 0))
    )
    if abs(found) >= 10**MAX_POWER_DIGITS:
        raise UnspeakableError
    return found


def _fractional_power(base: Fraction, exponent: Fraction) -> Fraction:
    """`2 to the power of 0.5`, with the precision of a double."""
    if base < 0:
        raise UnspeakableError
    try:
        found = float(base) ** float(exponent)
    except OverflowError:
        raise UnspeakableError from None
    if found >= 10**MAX_POWER_DIGITS:
        raise UnspeakableError
    return Fraction(found)


def _root(radicand: Fraction, degree: Fraction) -> Fraction:
    """Exact where the root is a fraction."""
    n = int(degree)
    if radicand < 0 and n % 2 == 0:
        raise UnspeakableError
    size, sign = abs(radicand), -1 if radicand < 0 else 1
    near = Fraction(round(size.numerator ** (1 / n)), round(size.denominator ** (1 / n)) or 1)
    return sign * (near if near**n == size else Fraction(float(size) ** (1 / n)))


_DONE: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "plus": lambda first, second: first + second,
    "minus": lambda first, second: first - second,
    "times": lambda first, second: first * second,
    "divided by": lambda first, second: first / second,
    "percent of": lambda first, second: first * second / 100,
    "plus percent": lambda first, second: first + first * second / 100,
    "minus percent": lambda first, second: first - first * second / 100,
    "share": lambda first, second: 100 * first / second,
    "remainder": lambda first, second: first % second,
    "power": _power,
    "root": _root,
}


def _worked_out(entities: dict[str, Any]) -> Fraction:
    """The exact result. As in school, `times` and `divided by` go before `plus` and `minus`."""
    first, second = exact(entities["first"]), exact(entities["second"])
    then = entities.get("then") or []
    if not then:
        return _DONE[entities["operation"]](first, second)
    total, part = Fraction(0), first
    operations = [entities["operation"], *then[::2]]
    numbers = [second, *map(exact, then[1::2])]
    for operation, number in zip(operations, numbers, strict=True):
        if operation in {"plus", "minus"}:
            total += part
            part = number if operation == "plus" else -number
        else:
            part = _short(_DONE[operation](part, number))
    return _short(total + part)


def _factorial(number: Fraction) -> Fraction:
    if number.denominator != 1 or not 0 <= number <= MAX_FACTORIAL:
        raise UnspeakableError
    return Fraction(math.factorial(number.numerator))


_OVER_LISTS: dict[str, Callable[[list[Fraction]], Fraction]] = {
    "average": lambda numbers: Fraction(sum(numbers), len(numbers)),
    "median": lambda numbers: Fraction(median(numbers)),
    "largest": max,
    "smallest": min,
    "plus": lambda numbers: sum(numbers, Fraction(0)),
    "times": lambda numbers: math.prod(numbers, start=Fraction(1)),
}
OPERATIONS = frozenset({*_DONE, *_OVER_LISTS, "factorial"})  # in a tree
NUMBERS_OF = {"factorial": 1} | dict.fromkeys(_DONE.keys() - _OVER_LISTS.keys(), 2)  # the others take any number


def _of_tree(tree: Any) -> Fraction:
    """The value of a tree: a number, "pi", or an operation with its trees."""
    if not isinstance(tree, list):
        return Fraction(math.pi) if tree == "pi" else exact(tree)
    operation, *parts = tree
    numbers = [_of_tree(part) for part in parts]
    if operation == "factorial":
        result = _factorial(numbers[0])
    elif operation in _OVER_LISTS:
        result = _OVER_LISTS[operation](numbers)
    else:
        result = _DONE[operation](*numbers)
    return _short(result)


def told_tree(facts: dict[str, Any], tree: Any) -> str:
    """Add `result` to the facts; returns the name of the reply."""
    try:
        result = _of_tree(tree)
    except ZeroDivisionError:
        return "calculate_never"
    except UnspeakableError:
        return TOO_LONG
    if abs(result) >= 10**MAX_POWER_DIGITS:
        return TOO_LONG
    return "calculate_tree_about" if _told(facts, result) else "calculate_tree"


def _told(facts: dict[str, Any], result: Fraction) -> bool:
    """Add `result` to the facts. True if it is rounded."""
    decimals = _decimals(result)
    told = round(result, decimals)
    facts["result"] = _written(told, decimals)
    return told != result


def _decimals(result: Fraction) -> int:
    """How many decimals are told."""
    if not 0 < abs(result) < SMALL:
        return MAX_DECIMALS
    zeros = len(str(result.denominator // abs(result.numerator))) - 1
    return min(zeros + MIN_DIGITS, MOST_DECIMALS)


def _written(told: Fraction, decimals: int) -> str:
    """All digits, exactly: a double has only 15 of them."""
    whole, part = divmod(int(abs(told) * 10**decimals), 10**decimals)
    digits = f"{whole}.{part:0{decimals}d}".rstrip("0").removesuffix(".")
    return f"-{digits}" if told < 0 else digits


def told_sum(facts: dict[str, Any], entities: dict[str, Any]) -> str:
    """Add `result` to the facts; returns the name of the reply, empty for the plain one."""
    if "tree" in entities:
        return told_tree(facts, entities["tree"])
    if entities["operation"] not in (CHAINED if entities.get("then") else _DONE):
        return "calculate_unknown"
    try:
        result = _worked_out(entities)
    except ZeroDivisionError:
        return "calculate_never"
    except TooLongError:
        return TOO_LONG
    except UnspeakableError:
        return f"calculate_{entities['operation']}_never"
    if entities.get("then"):
        facts["second"] = " ".join([facts["second"], *(spoken_value(part) for part in entities["then"])])
    about = "_about" if _told(facts, result) else ""
    if entities["operation"] == "root":
        facts["degree"] = {"2": "square", "3": "cube"}.get(facts["second"], facts["second"])
    if entities["operation"] in OWN_WORDS:
        return f"calculate_{entities['operation']}{about}"
    if entities["operation"].endswith(" percent"):
        facts["operation"] = entities["operation"].removesuffix(" percent")
        facts["second"] = f"{facts['second']} percent"
    return about and f"calculate{about}"
