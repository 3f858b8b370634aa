"""Time zones by the names of places: cities of the time zone database, and those in places.yaml."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import available_timezones

import yaml

PLACES_FILE = Path(__file__).with_name("places.yaml")
SEVERAL_ZONES = "several"
_AREAS = ("Africa", "America", "Antarctica", "Arctic", "Asia", "Atlantic", "Australia", "Europe", "Indian", "Pacific")


@cache
def _zones() -> dict[str, str]:
    """Place, in lower case → time zone, or SEVERAL_ZONES."""
    known = available_timezones()
    cities = {
        zone.rpartition("/")[2].replace("_", " ").lower(): zone for zone in sorted(known) if zone.startswith(_AREAS)
    }
    listed: dict[str, Any] = yaml.safe_load(PLACES_FILE.read_text(encoding="utf-8"))
    others = {place: zone for zone, places in listed["zones"].items() if zone in known for place in places}
    return cities | others | dict.fromkeys(listed["several"], SEVERAL_ZONES)


def zone_of(place: str) -> str:
    """The time zone of a place, SEVERAL_ZONES, or empty if it is unknown. `Berlin, Germany` is Berlin."""
    named = place.lower().strip()
    for name in (named, named.removeprefix("the "), named.split(",")[0].strip()):
        if name in _zones():
            return _zones()[name]
    return ""
