"""Unit conversions in words."""

from __future__ import annotations

import math
from decimal import Decimal
from fractions import Fraction
from typing import Any

from server.embedded.intent.units import Unit, converted, unit_called
from server.embedded.planner.sums import TOO_LONG, TooLongError, exact

DIGITS = 4  # significant ones, of what is rounded


def told_conversion(facts: dict[str, Any], entities: dict[str, Any]) -> str:
    """Add the amounts to the facts; returns the name of the reply, empty for the plain one."""
    unit, into = unit_called(str(entities["unit"])), unit_called(str(entities["into"]))
    if unit is None or into is None:
        return "convert_unknown"
    more = unit_called(str(entities.get("more_unit", ""))) or unit
    try:
        amount, extra = exact(entities["amount"]), exact(entities.get("more", 0))
    except TooLongError:
        return TOO_LONG
    facts |= {
        "given": _said(amount, unit),
        "kind": unit.plural,
        "into": into.plural,
        "are": "is" if amount == 1 else "are",
    }
    if extra:
        facts |= {"given": f"{facts['given']} {_said(extra, more)}", "are": "are"}
    try:
        result = (
            converted(amount + converted(extra, more, unit), unit, into) if extra else converted(amount, unit, into)
        )
    except ValueError:
        return "convert_never"
    if unit.dimension == "temperature" and amount * unit.size + unit.zero < 0:
        return "convert_cold"
    told = _rounded(result)
    facts["result"] = _said(told, into)
    return "convert_about" if told != result else ""


def _rounded(value: Fraction) -> Fraction:
    """A number with at most two decimals as it is; another one to DIGITS significant digits, never less than a whole number."""
    if (100 * value).denominator == 1:
        return value
    size = math.floor(math.log10(abs(value))) + 1
    return Fraction(str(round(float(value), max(DIGITS - size, 0))))


def _said(amount: Fraction, unit: Unit) -> str:
    plain = f"{int(amount)}" if amount.denominator == 1 else f"{Decimal(str(float(amount))):f}"  # never "1e-06"
    return f"{plain} {unit.of(amount)}"
