"""Small sums, calculated exactly and told in words."""

from __future__ import annotations

from fractions import Fraction
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_DECIMALS = 4  # beyond this the result is "about"

_DONE: dict[str, Callable[[Fraction, Fraction], Fraction]] = {
    "plus": lambda first, second: first + second,
    "minus": lambda first, second: first - second,
    "times": lambda first, second: first * second,
    "divided by": lambda first, second: first / second,
    "percent of": lambda first, second: first * second / 100,
    "plus percent": lambda first, second: first + first * second / 100,
    "minus percent": lambda first, second: first - first * second / 100,
    "share": lambda first, second: 100 * first / second,
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
    told = round(result, MAX_DECIMALS)
    facts["result"] = f"{told.numerator}" if told.denominator == 1 else f"{float(told):.{MAX_DECIMALS}f}".rstrip("0")
    about = "" if told == result else "_about"
    if entities["operation"] == "share":
        return f"calculate_share{about}"
    if entities["operation"].endswith(" percent"):
        facts["operation"] = entities["operation"].removesuffix(" percent")
        facts["second"] = f"{facts['second']} percent"
    return about and f"calculate{about}"
