"""Removes secrets from a message before an observer sees it or a recording keeps it, in every dialect."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

from streaming.secret_fields import (
    HIDDEN,
    TYPED,
    clean_addresses,
    may_name_secrets,
    names_secret_value,
    secret_fields,
    typed_secret,
)
from streaming.strict_json import FlawError, strict_value

# Of `mcp` tools in OpenAI's dialect: Redis has them only encrypted.
TOOL_SECRETS = frozenset({"authorization", "headers", "server_url"})
NONE: frozenset[str] = frozenset()
# Of strings that are JSON, in a message: so many are read in two milliseconds. What is longer, and has one of the names, is hidden.
MAX_INNER_CHARS = 32 * 1024
CHARS_FOR_EACH = 256  # of them: many short ones take longer
MAX_INNER_DEPTH = 64
_BEFORE = "\ufeff \t\r\n"
_OPENS = ("{", "[", '"')  # the last: a string that is JSON may be written as JSON once more
_BEGIN = frozenset((*_BEFORE, *_OPENS))


def hide(message: dict[str, Any], names: frozenset[str] = NONE) -> bool:
    """Replace secrets, and what has one of these names too, at any depth, also in strings that are JSON; False: there is none.

    Secret is what is called so, what is typed into a field that is called so, and passwords and tokens in addresses.
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
            given = set[str]().union(*objects)
            names = given.intersection(self._names).union(secret_fields(given))
            for fields in objects:
                if not names.isdisjoint(fields):
                    for name in names & fields.keys():
                        if fields[name] and not (name == "audio" and type(fields[name]) is dict):
                            fields[name], found = HIDDEN, True
                if typed_secret(fields):
                    fields.update((name, HIDDEN) for name in TYPED if fields.get(name))
                    found = True
            level = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
            shown = self._shown([value for value in level if type(value) is str])
            if shown:
                _replace(objects, arrays, shown)
                found = True
        return found

    def _shown(self, texts: list[str]) -> dict[str, str]:
        """What is shown in place of those of them that have secrets."""
        json_texts = dict.fromkeys(
            text for text in texts if text[:1] in _BEGIN and text.lstrip(_BEFORE).startswith(_OPENS)
        )
        shown = {text: clean_addresses(text) for text in texts if "@" in text or "=" in text}
        if json_texts and self._occurs("\n".join(json_texts)):
            shown |= {text: self._without(text) for text in json_texts}
        return {text: instead for text, instead in shown.items() if text != instead}

    def _occurs(self, text: str) -> bool:
        return may_name_secrets(text) or any(name in text for name in self._names)

    def _without(self, text: str) -> str:
        """The text without secrets; hidden if it is long, or after many others."""
        if self._left_chars <= 0:
            return HIDDEN
        self._left_chars -= CHARS_FOR_EACH
        if not self._occurs(text):
            return text
        self._left_chars -= len(text)
        if self._left_chars < 0:
            return HIDDEN
        try:
            whole = [strict_value(text.lstrip(_BEFORE), MAX_INNER_DEPTH)]
        except (FlawError, ValueError):  # words in brackets, or JSON whose end is missing
            held = names_secret_value(text) or any(name + end in text for name in self._names for end in ('"', "\\"))
            return HIDDEN if held else clean_addresses(text)
        return _compact(whole[0]) if self.hide(whole) else text


def _replace(objects: list[dict[str, Any]], arrays: list[list[Any]], shown: dict[str, str]) -> None:
    """Put other texts in place of those."""
    for fields in objects:
        fields.update({name: shown.get(value, value) for name, value in fields.items() if type(value) is str})
    for values in arrays:
        values[:] = [shown.get(value, value) if type(value) is str else value for value in values]


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def without_secrets(text: str, message: dict[str, Any], names: frozenset[str] = NONE) -> str:
    """The text of a message that was read, with what `hide` hides replaced; itself if there is none.

    Nothing is looked through unless there may be a secret.
    """
    if (may_name_secrets(text) or any(name in text for name in names)) and hide(message, names):
        return _compact(message)
    return text


def without_tool_secrets(value: Any) -> Any:
    """The JSON value without the fields of TOOL_SECRETS."""
    if isinstance(value, dict):
        return {name: without_tool_secrets(inner) for name, inner in value.items() if name not in TOOL_SECRETS}
    return [without_tool_secrets(inner) for inner in value] if isinstance(value, list) else value
