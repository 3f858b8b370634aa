"""Facts about an action for the policies, which Cedar cannot derive from the parameters itself.

Every fact is always present, and empty if it does not apply, so that a policy that uses it never fails.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from server.embedded.addresses import Reach, WebAddress, read_url
from server.embedded.os.commands import COMMANDS, MAX_ARGUMENT_CHARS, MAX_ARGUMENTS
from server.embedded.risky_words import DESTROYING, EFFECTIVE, as_seen, words_of
from server.embedded.secret_names import is_secret_name

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

# Of all parameters together: more than the largest memory. Longer ones are denied without a check.
MAX_TEXT_CHARS = 128 * 1024
MAX_COMMAND_CHARS = (MAX_ARGUMENTS + 1) * MAX_ARGUMENT_CHARS  # all arguments that a command may have
# Cedar keeps Python, and with it all services of this process, waiting while it judges: 130 ms for 18,000 words, 4 ms for so many. No
# command takes as many names, and no selector as many words.
MAX_NAMES = 1_000
# Of an element's selector and the text on it: the browser takes a thousand of each. Seen as a person sees them, they may be 18 times as long.
MAX_TARGET_CHARS = 2_048

_LATER = re.compile(r"\s*\$\{[\w-]+(?:\.[\w-]+)*\}")  # a reference to an earlier step's result
_SEPARATORS = re.compile(r"[/\\=\s]+")


class TooLongError(ValueError):
    """The parameters are too long to be checked."""


def facts(executor: str, action: str, parameters: Mapping[str, Any], *, private_allowed: bool) -> dict[str, Any]:
    """Cedar's context. Raises TooLongError."""
    strings = list(_strings(parameters))
    most = MAX_COMMAND_CHARS if executor == "os" else MAX_TEXT_CHARS
    if sum(map(len, strings)) > most:
        raise TooLongError(f"parameters of more than {most} characters cannot be judged")
    lowered = [text.lower() for text in strings]
    names = {part for text in strings for part in _SEPARATORS.split(text) if part} if executor == "os" else set()
    target = _target(action, parameters)
    if len(target) > MAX_TARGET_CHARS:
        raise TooLongError(f"the name of an element of more than {MAX_TARGET_CHARS} characters cannot be judged")
    words = words_of(target)
    if max(len(names), len(words)) > MAX_NAMES:
        raise TooLongError(f"parameters with more than {MAX_NAMES} names cannot be judged")
    address = _address(parameters.get("url"))
    return {
        "kind": _kind(action, parameters.get("args")) if executor == "os" else "unknown",
        "text": "".join(f"\n/{text}" for text in lowered) + "\n",
        "names": sorted({name.lower() for name in names}),
        "secret": any(map(is_secret_name, names)),
        "target": as_seen(target).lower(),
        "words": sorted(words),
        "destroys": bool(words & DESTROYING),
        "effective": bool(words & EFFECTIVE),
        "scheme": address.scheme,
        "host": address.host,
        "reach": address.reach.value,
        "private_allowed": private_allowed,
    }


def _kind(command: str, arguments: Any) -> str:
    if command not in COMMANDS:
        return "unknown"
    return "destroy" if COMMANDS[command].destroys(list(_strings(arguments))) else COMMANDS[command].kind


def _strings(value: Any) -> Iterator[str]:
    """All texts of a value, including keys of objects."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _strings(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from _strings(inner)
    elif value is not None:
        yield str(value)


def _target(action: str, parameters: Mapping[str, Any]) -> str:
    """The words of the element's selector; for a click, also the text on the element."""
    named = [parameters.get("selector"), parameters.get("text") if action == "click" else None]
    return " ".join(text for text in named if isinstance(text, str))


def _address(url: Any) -> WebAddress:
    if not isinstance(url, str):
        return WebAddress("", "", Reach.UNKNOWN)
    if _LATER.match(url):
        return WebAddress("later", "", Reach.UNKNOWN)
    return read_url(url)
