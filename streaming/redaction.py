"""Removes secrets from a message before an observer sees it or a recording keeps it, in every dialect."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from streaming.strict_json import FlawError, strict_value

HIDDEN = "(hidden)"
# Of `mcp` tools in OpenAI's dialect: Redis has them only encrypted.
TOOL_SECRETS = frozenset({"authorization", "headers", "server_url"})
SECRETS = TOOL_SECRETS | {"token", "resume_token", "access_token", "refresh_token", "ticket", "password"}
# Of strings that are JSON, in a message: so many are read in two milliseconds. What is longer, and has one of the names, is hidden.
MAX_INNER_CHARS = 32 * 1024
CHARS_FOR_EACH = 256  # of them: many short ones take longer
MAX_INNER_DEPTH = 64
_OPENS = ("{", "[")
_BEGIN = frozenset("{[ \t\r\n")


def hide(message: dict[str, Any], names: frozenset[str] = SECRETS) -> bool:
    """Replace what has one of these names, at any depth, also in strings that are JSON; False: there is none.

    An `audio` that is an object is no sound, but settings.
    """
    return _Search(names).hide(message)


class _Search:
    """Looks through one message."""

    def __init__(self, names: frozenset[str]) -> None:
        self._names = names
        self._left_chars = MAX_INNER_CHARS

    def hide(self, whole: Any) -> bool:
        """Level by level, most of it in C: a message has thousands of values, and others wait."""
        found, level = False, list[Any]([whole])
        while level:
            objects = [value for value in level if type(value) is dict]
            arrays = [value for value in level if type(value) is list]
            for fields in objects:
                if not self._names.isdisjoint(fields):
                    for name in self._names & fields.keys():
                        if fields[name] and not (name == "audio" and type(fields[name]) is dict):
                            fields[name], found = HIDDEN, True
            level = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
            texts = dict.fromkeys(
                value
                for value in level
                if type(value) is str and value[:1] in _BEGIN and value.lstrip().startswith(_OPENS)
            )
            if texts and _occurs(self._names, "\n".join(texts)):
                shown = {text: self._without(text) for text in texts}
                if any(text != instead for text, instead in shown.items()):
                    _replace(objects, arrays, shown)
                    found = True
        return found

    def _without(self, text: str) -> str:
        """The text without secrets; hidden if it is long, or after many others."""
        if self._left_chars <= 0:
            return HIDDEN
        self._left_chars -= CHARS_FOR_EACH
        if not _occurs(self._names, text):
            return text
        self._left_chars -= len(text)
        if self._left_chars < 0:
            return HIDDEN
        try:
            value = strict_value(text, MAX_INNER_DEPTH)
        except (
            FlawError,
            ValueError,
        ):  # words in brackets, or JSON whose end is missing: there, a quote follows each name
            held = "\\u" in text or any(name + end in text for name in self._names for end in ('"', "\\"))
            return HIDDEN if held else text
        return _compact(value) if self.hide(value) else text


def _occurs(names: frozenset[str], text: str) -> bool:
    """True if a name occurs, or an escape by which JSON can spell one."""
    return "\\u" in text or any(name in text for name in names)


def _replace(objects: list[dict[str, Any]], arrays: list[list[Any]], shown: dict[str, str]) -> None:
    """Put other texts in place of those."""
    for fields in objects:
        fields.update({name: shown.get(value, value) for name, value in fields.items() if type(value) is str})
    for values in arrays:
        values[:] = [shown.get(value, value) if type(value) is str else value for value in values]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_secrets(text: str, message: dict[str, Any], names: frozenset[str] = SECRETS) -> str:
    """The text of a message that was read, with what has one of these names replaced; itself if there is none.

    Nothing is looked through unless a name occurs in the text, or an escape by which JSON can spell one.
    """
    if _occurs(names, text) and hide(message, names):
        return _compact(message)
    return text


def without_tool_secrets(value: Any) -> Any:
    """The JSON value without the fields of TOOL_SECRETS."""
    if isinstance(value, dict):
        return {name: without_tool_secrets(inner) for name, inner in value.items() if name not in TOOL_SECRETS}
    return [without_tool_secrets(inner) for inner in value] if isinstance(value, list) else value
