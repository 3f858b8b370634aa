"""Where a flaw stands in what a client sent. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


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
