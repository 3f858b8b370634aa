"""Takes sound out of an event that is long, before the rest is parsed as JSON. Pure.

JSON and base64 of the longest event would occupy the interpreter for 45 ms at once, in a thread too. Here they are read in short
steps, and others have their turns between them.
"""

from __future__ import annotations

import re
import secrets
from binascii import Error as NotBase64Error
from typing import TYPE_CHECKING, Any

from pybase64 import b64decode

from streaming.openai.mistakes import wrong
from streaming.strict_json import MAX_VALUES

if TYPE_CHECKING:
    from collections.abc import Generator

    from streaming.openai.client_events import Sounds

LEAST_CHARS = 4 * 1024  # shorter sound stays in the text
DECODED_CHARS = 64 * 1024  # in one step; whole groups of four characters
SEARCHED_CHARS = 256 * 1024
NAMES_A_STEP = 64
# Of the rest, which is parsed at once in some milliseconds. An item's words have a quarter of it at most.
MAX_REST_CHARS = 1024 * 1024
TAKE_SOUND = ("conversation.item.create", "response.create")  # besides appends
_NAME = '"audio"'
_VALUE = re.compile(r'[ \t\r\n]{0,8}:[ \t\r\n]{0,8}"')


def without_sound(text: str) -> Generator[None, None, tuple[str, dict[str, bytearray | None]]]:
    """The text with a short word in place of each long `audio`; and the sound of these words, None for what is not base64.

    Each step takes a fraction of a millisecond. Raises MistakeError.
    """
    rest: list[str] = []
    sounds: dict[str, bytearray | None] = {}
    kept = at = 0
    for number in range(MAX_VALUES):  # a text with more is refused in any case
        at = yield from _find(_NAME, text, at)
        if at < 0:
            break
        at += len(_NAME)
        value = _VALUE.match(text, at)
        if value is not None:
            begin = value.end()
            end = yield from _find('"', text, begin)
            if end - begin >= LEAST_CHARS:
                # No JSON outside of a string and no base64, so that no other text becomes valid by it.
                word = f"sound {secrets.token_hex(8)}"
                rest += (text[kept:begin], word)
                sounds[word] = yield from _decoded(text, begin, end)
                kept = at = end
        if number % NAMES_A_STEP == 0:
            yield
    return "".join((*rest, text[kept:])), sounds


def is_in_items(sounds: Sounds, fields: dict[str, Any]) -> bool:
    """True if all of it is `audio` of content parts. Anywhere else, its words would be taken for what the client wrote."""
    items = [fields.get("item"), *_listed(fields.get("response"), "input")]
    heard = [part.get("audio") for item in items for part in _listed(item, "content") if isinstance(part, dict)]
    return all(word in heard for word in sounds)


def _listed(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def _find(what: str, text: str, at: int) -> Generator[None, None, int]:
    """Where it is from there on; -1: nowhere."""
    while at < len(text):
        found = text.find(what, at, at + SEARCHED_CHARS)
        if found >= 0:
            return found
        at += SEARCHED_CHARS - len(what) + 1
        yield
    return -1


def _decoded(text: str, begin: int, end: int) -> Generator[None, None, bytearray | None]:
    """The sound between the quotes. Some languages escape the slash. Raises MistakeError if the quote at its end is escaped."""
    if text[end - 1] == "\\":
        raise wrong("audio", "Invalid 'audio': expected base64-encoded audio.")
    sound, left = bytearray(), ""
    for start in range(begin, end, DECODED_CHARS):
        piece = (left + text[start : min(start + DECODED_CHARS, end)]).replace("\\/", "/")
        whole = (len(piece) - piece.endswith("\\")) // 4 * 4
        left = piece[whole:]
        if len(sound) % 3:
            return None  # there was padding before
        try:
            sound += b64decode(piece[:whole], None, True)
        except (NotBase64Error, ValueError):
            return None
        yield
    return None if left else sound
