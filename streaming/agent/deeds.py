"""What known actions do, in words that follow "Shall I …?". Pure.

The words are made from the action itself, so they say what would be done whoever planned it.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from streaming.secret_fields import clean_addresses, typed_secret

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming.ports import Action

    ActionParameters = Mapping[str, Any]

USER_KEY = "user."  # begins the keys of what is known about the user: user.favorite-color
_RECURSIVE = re.compile(r"-[a-z]*r|--recursive\Z", re.IGNORECASE)
_SCHEME = re.compile(r"https?://(?:www\.)?", re.IGNORECASE)


def _key(parameters: ActionParameters) -> str:
    """`user.favorite-color` as "your favorite color"; empty for a key that has no meaning to people."""
    key = str(parameters.get("key", ""))
    return f"your {key.removeprefix(USER_KEY).replace('-', ' ')}" if key.startswith(USER_KEY) else ""


def _forget(parameters: ActionParameters) -> str:
    known = _key(parameters)
    return f"forget {known}" if known else ""


def _remember(parameters: ActionParameters) -> str:
    known, value = _key(parameters), parameters.get("value")
    if not isinstance(value, str | int | float):
        return ""
    if known:
        return f"remember that {known} is {value}"
    return "" if parameters.get("key") else f"remember this: {value}"


def _named(words: str, *names: str) -> Callable[[ActionParameters], str]:
    """Makes words from the first of these parameters that is given."""

    def say(parameters: ActionParameters) -> str:
        value = next((parameters[name] for name in names if isinstance(parameters.get(name), str)), "")
        return words.format(_SCHEME.sub("", clean_addresses(value, r"\1")).rstrip("/")) if value else ""

    return say


def _type(parameters: ActionParameters) -> str:
    text, field = parameters.get("text"), parameters.get("selector")
    said = "what you gave me" if typed_secret(parameters) else text
    return f"type {said} into {field}" if text and field else ""


def _arguments(parameters: ActionParameters) -> list[str]:
    """The command's arguments; none if they are not a list of texts, which no executor takes."""
    args = parameters.get("args", ())
    named = isinstance(args, list | tuple) and all(isinstance(one, str) for one in args)
    return list(args) if named else []


def _objects(words: str, how_many: int | None = None) -> Callable[[ActionParameters], str]:
    """Makes words from the command's arguments without flags, if their number fits."""

    def say(parameters: ActionParameters) -> str:
        args = _arguments(parameters)
        given = [one for one in args if not one.startswith("-")]
        if not given or (how_many is not None and len(given) != how_many):
            return ""
        return words.format(*given) if how_many else words.format(" and ".join(given))

    return say


def _remove(parameters: ActionParameters) -> str:
    told = _objects("delete {}")(parameters)
    whole = any(_RECURSIVE.match(one) for one in _arguments(parameters))
    return f"{told} with everything in it" if told and whole else told


_DEEDS: dict[tuple[str, str], Callable[[ActionParameters], str]] = {
    ("memory", "delete"): _forget,
    ("memory", "store"): _remember,
    ("memory", "retrieve"): lambda given: f"look up {_key(given)}" if _key(given) else "",
    ("memory", "search"): _named("look up what you told me about {}", "query"),
    ("search", "search"): _named("search for {}", "query"),
    ("browser", "navigate"): _named("open the page {}", "url"),
    ("browser", "click"): _named("click on {}", "text", "selector"),
    ("browser", "type"): _type,
    ("browser", "press"): _named("press the key {}", "key"),
    ("os", "rm"): _remove,
    ("os", "mkdir"): _objects("create the folder {}"),
    ("os", "rmdir"): _objects("remove the folder {}"),
    ("os", "touch"): _objects("create the file {}"),
    ("os", "cp"): _objects("copy {} to {}", 2),
    ("os", "mv"): _objects("move {} to {}", 2),
    ("os", "cat"): _objects("read {}"),
}


def secret_of(action: Action) -> str:
    """The parameter that is not said, because it is typed into a field for secrets; empty if there is none."""
    return (
        "" if action.action == "click" else typed_secret(action.parameters)
    )  # a click's text is what it says on the button


def deed(action: Action) -> str:
    """Such as "forget your name"; empty for an action that has no words here."""
    known = _DEEDS.get((action.executor, action.action))
    return known(action.parameters) if known is not None else ""
