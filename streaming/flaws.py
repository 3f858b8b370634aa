"""Where a flaw stands in what a client sent. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

# Ten thousand unknown names took 17 ms: pydantic spends a microsecond on each flaw, and another one when it is asked for it.
MOST_NAMES = 1_000  # of a whole message, body or event; none has a thirtieth of them
MOST_FLAWS = 1_024


def has_too_many_names(given: Any) -> bool:
    """True for an object with many more members than any model has fields."""
    return isinstance(given, dict) and len(given) > MOST_NAMES


def flaws_of(error: ValidationError) -> list[ErrorDetails]:
    """What pydantic found; nothing if it is more than MOST_FLAWS."""
    if error.error_count() > MOST_FLAWS:
        return []
    return error.errors(include_url=False, include_input=False)


def path_of(found: Sequence[str | int], given: Any, *, absent: bool) -> tuple[str | int, ...]:
    """The path of a flaw that pydantic found in `given`, without the names of a union's members, which no client wrote.

    `absent`: the last part is a field that is missing.
    """
    path: list[str | int] = []
    for index, part in enumerate(found):
        if _has(given, part):
            path.append(part)
            given = given[part]
        elif absent and index == len(found) - 1:
            path.append(part)
    return tuple(path)


def _has(given: Any, part: str | int) -> bool:
    if isinstance(given, list | tuple):
        return isinstance(part, int) and part < len(given)
    return isinstance(given, dict) and part in given
