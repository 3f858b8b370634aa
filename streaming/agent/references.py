"""Replaces `${step_id.path.to.field}` in a step's parameters by results of earlier steps."""

from __future__ import annotations

import re
from typing import Any

_WHOLE = re.compile(r"\$\{([\w-]+(?:\.[\w-]+)*)\}\Z")
_INSIDE = re.compile(r"\$\{([\w-]+(?:\.[\w-]+)*)\}")


class MissingResultError(Exception):
    """The result of an earlier step lacks what a later step refers to."""


def _look_up(path: str, results: dict[str, dict[str, Any]]) -> Any:
    value: Any = results
    for part in path.split("."):
        try:
            value = value[int(part)] if isinstance(value, list) else value[part]
        except (KeyError, IndexError, ValueError, TypeError):
            msg = f"no result at {path}"
            raise MissingResultError(msg) from None
    return value


def fill(template: Any, results: dict[str, dict[str, Any]]) -> Any:
    """A copy of `template` with all references replaced. A string that is a single reference takes the value's own type.

    `results` maps step ids to their results. Raises MissingResultError.
    """
    if isinstance(template, dict):
        return {key: fill(value, results) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, results) for value in template]
    if not isinstance(template, str):
        return template
    whole = _WHOLE.match(template)
    if whole:
        return _look_up(whole[1], results)
    return _INSIDE.sub(lambda found: str(_look_up(found[1], results)), template)
