"""Fills `${step_id.path.to.field}` in a step's parameters from the results of the steps that it depends on.

Other text of that form is left as it is: it comes from the user or a language model.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection

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


def fill(template: Any, results: dict[str, dict[str, Any]], depends_on: Collection[str]) -> Any:
    """A copy of `template` with references to `depends_on` replaced. A string that is one whole reference becomes the value, with its type.

    `results` maps step ids to their results. Raises MissingResultError.
    """
    if isinstance(template, dict):
        return {key: fill(value, results, depends_on) for key, value in template.items()}
    if isinstance(template, list):
        return [fill(value, results, depends_on) for value in template]
    if not isinstance(template, str):
        return template

    def refers(path: str) -> bool:
        return path.split(".", 1)[0] in depends_on

    whole = _WHOLE.match(template)
    if whole and refers(whole[1]):
        return _look_up(whole[1], results)
    return _INSIDE.sub(lambda found: str(_look_up(found[1], results)) if refers(found[1]) else found[0], template)
