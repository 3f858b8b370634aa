"""Units of measurement: the names that people give them, and exact conversion. The table is units.yaml."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from pathlib import Path

import yaml

UNITS_FILE = Path(__file__).with_name("units.yaml")


@dataclass(frozen=True, slots=True)
class Unit:
    """`size` and `zero`: a value v of this unit is v * size + zero of its dimension's first unit."""

    name: str
    plural: str
    dimension: str
    size: Fraction
    zero: Fraction = Fraction(0)

    def of(self, amount: Fraction) -> str:
        """The name that follows the amount."""
        return self.name if abs(amount) == 1 else self.plural


@cache
def units() -> dict[str, Unit]:
    """All units by each of their names, in lower case."""
    found: dict[str, Unit] = {}
    for dimension, entries in yaml.safe_load(UNITS_FILE.read_text(encoding="utf-8")).items():
        for name, entry in entries.items():
            plural = entry.get("plural", f"{name}s")
            unit = Unit(name, plural, dimension, Fraction(entry["is"]), Fraction(entry.get("zero", 0)))
            for called in (name, plural, *entry.get("also", [])):
                found[called.lower()] = found[f"{called.lower()}s"] = unit
    return found


def unit_called(name: str) -> Unit | None:
    """The unit of that name; `degrees celsius` is `celsius`."""
    return units().get(" ".join(name.lower().split()))


def converted(amount: Fraction, unit: Unit, into: Unit) -> Fraction:
    """The amount in another unit. Raises ValueError if the units measure different things."""
    if unit.dimension != into.dimension:
        raise ValueError(unit.dimension)
    return (amount * unit.size + unit.zero - into.zero) / into.size
