"""Removes secrets from a message before an observer sees it or a recording keeps it, in every dialect."""

from __future__ import annotations

import json
from itertools import chain
from typing import Any

HIDDEN = "(hidden)"
# Of `mcp` tools in OpenAI's dialect: Redis has them only encrypted.
TOOL_SECRETS = frozenset({"authorization", "headers", "server_url"})
SECRETS = TOOL_SECRETS | {"token", "resume_token", "access_token", "refresh_token", "ticket", "password"}


def hide(message: dict[str, Any], names: frozenset[str] = SECRETS) -> bool:
    """Replace what has one of these names, at any depth; False: there is none. An `audio` that is an object is no sound, but settings.

    Level by level, most of it in C: a message has thousands of values, and others wait.
    """
    found, level = False, list[Any]([message])
    while level:
        objects = [value for value in level if type(value) is dict]
        arrays = [value for value in level if type(value) is list]
        for fields in objects:
            if not names.isdisjoint(fields):
                for name in names & fields.keys():
                    if fields[name] and not (name == "audio" and type(fields[name]) is dict):
                        fields[name], found = HIDDEN, True
        level = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
    return found


def without_secrets(text: str, message: dict[str, Any], names: frozenset[str] = SECRETS) -> str:
    """The text of a message that was read, with what has one of these names replaced; itself if there is none.

    Nothing is looked through unless a name occurs in the text, or an escape by which JSON can spell one.
    """
    if ("\\u" in text or any(name in text for name in names)) and hide(message, names):
        return json.dumps(message, ensure_ascii=False, separators=(",", ":"))
    return text


def without_tool_secrets(value: Any) -> Any:
    """The JSON value without the fields of TOOL_SECRETS."""
    if isinstance(value, dict):
        return {name: without_tool_secrets(inner) for name, inner in value.items() if name not in TOOL_SECRETS}
    return [without_tool_secrets(inner) for inner in value] if isinstance(value, list) else value
