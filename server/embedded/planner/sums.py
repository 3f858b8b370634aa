"""Small sums, calculated exactly and told in words."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DECIMALS = 4  # beyond this the result is "about"
MAX_POWER_DIGITS = 18  # of a power; nobody listens to more

OWN_WORDS = frozenset({"share", "power", "root", "remainder"})  # operations with a reply of their own


class UnspeakableError(ArithmeticError):
    """The result has too many digits to be said, or is no real number."""


def _power(base: Fraction, exponent: Fraction) -> Fraction:
    most = max(abs(base.numerator), base.denominator)
    if exponent.denominator != 1 or (most > 1 and abs(exponent) * len(str(most)) > 3 * MAX_POWER_DIGITS):
        raise UnspeakableError
    found = (
        Fraction(base**exponent.numerator)
        if base or exponent > 0
        else Fraction(1, exponent.denominator * int(exponent == 0))
    )
    if abs(found) >= 10**MAX_POWER_DIGITS:
        raise UnspeakableError
    return found


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


def told_sum(facts: dict[str, Any], entities: dict[str, Any]) -> str:
    """Add `result` to the facts; returns the variant of the reply, empty for the plain one."""
    work_out = _DONE.get(entities["operation"])
    if work_out is None:
        return "calculate_unknown"
    try:
        # from the decimal digits, so that 0.1 is exactly a tenth
        result = work_out(Fraction(str(entities["first"])), Fraction(str(entities["second"])))
    except ZeroDivisionError:
        return "calculate_never"
    except UnspeakableError:
        return f"calculate_{entities['operation']}_never"
    told = round(result, MAX_DECIMALS)
    facts["result"] = f"{told.numerator}" if told.denominator == 1 else f"{float(told):.{MAX_DECIMALS}f}".rstrip("0")
    about = "" if told == result else "_about"
    if entities["operation"] == "root":
        facts["degree"] = {"2": "square", "3": "cube"}.get(facts["second"], facts["second"])
    if entities["operation"] in OWN_WORDS:
        return f"calculate_{entities['operation']}{about}"
    if entities["operation"].endswith(" percent"):
        facts["operation"] = entities["operation"].removesuffix(" percent")
        facts["second"] = f"{facts['second']} percent"
    return about and f"calculate{about}"
