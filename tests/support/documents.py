"""Reading JSON documents that refer to parts of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator


def references(value: Any) -> Iterator[str]:
    """Every `$ref` anywhere in it."""
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for child in value.values():
            yield from references(child)
    elif isinstance(value, list):
        for child in value:
            yield from references(child)


def resolve(document: Any, reference: str) -> Any:
    """What `#/a/b` refers to; KeyError when there is nothing."""
    assert reference.startswith("#/")
    found = document
    for part in reference[2:].split("/"):
        found = found[part.replace("~1", "/").replace("~0", "~")]
    return found
