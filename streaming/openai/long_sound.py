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

from streaming.long_text import LongText
from streaming.openai.client_events import UnreadableEventError
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
_NAME = b'"audio"'
_VALUE = re.compile(rb'[ \t\r\n]{0,8}:[ \t\r\n]{0,8}"')
_BACKSLASH = ord("\\")
_MOST_BYTES = 4  # of a character


def without_sound(given: str | LongText) -> Generator[None, None, tuple[str, dict[str, bytearray | None]]]:
    """The text with a short word in place of each long `audio`; and the sound of these words, None for what is not base64.

    Each step takes a fraction of a millisecond. Raises MistakeError; UnreadableEventError if the rest is longer than MAX_REST_CHARS.
    """
    text = given if isinstance(given, LongText) else (yield from _encoded(given))
    rest: list[bytes | bytearray] = []
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
            end = yield from _find(b'"', text, begin)
            if end - begin >= LEAST_CHARS:
                # No JSON outside of a string and no base64, so that no other text becomes valid by it.
                word = f"sound {secrets.token_hex(8)}"
                rest += (text[kept:begin], word.encode())
                sounds[word] = yield from _decoded(text, begin, end)
                kept = at = end
        if number % NAMES_A_STEP == 0:
            yield
    if len(text) - kept + sum(map(len, rest)) > _MOST_BYTES * MAX_REST_CHARS:
        raise _too_long()
    words = b"".join((*rest, text[kept:])).decode("utf-8", "surrogatepass")
    if len(words) > MAX_REST_CHARS:
        raise _too_long()
    return words, sounds


def _encoded(given: str) -> Generator[None, None, LongText]:
    text = LongText()
    for start in range(0, len(given), SEARCHED_CHARS):
        text += given[start : start + SEARCHED_CHARS].encode("utf-8", "surrogatepass")
        yield
    return text


def _too_long() -> UnreadableEventError:
    message = f"an event has at most {MAX_REST_CHARS} characters beside sound"
    return UnreadableEventError("string_above_max_length", message, "", "")


def is_in_items(sounds: Sounds, fields: dict[str, Any]) -> bool:
    """True if all of it is `audio` of content parts. Anywhere else, its words would be taken for what the client wrote."""
    items = [fields.get("item"), *_listed(fields.get("response"), "input")]
    heard = [part.get("audio") for item in items for part in _listed(item, "content") if isinstance(part, dict)]
    return all(word in heard for word in sounds)


def _listed(holder: Any, name: str) -> list[Any]:
    found = holder.get(name) if isinstance(holder, dict) else None
    return found if isinstance(found, list) else []


def _find(what: bytes, text: LongText, at: int) -> Generator[None, None, int]:
    """Where it is from there on; -1: nowhere."""
    while at < len(text):
        found = text.find(what, at, at + SEARCHED_CHARS)
        if found >= 0:
            return found
        at += SEARCHED_CHARS - len(what) + 1
        yield
    return -1


def _decoded(text: LongText, begin: int, end: int) -> Generator[None, None, bytearray | None]:
    """The sound between the quotes. Some languages escape the slash. Raises MistakeError if the quote at its end is escaped."""
    if text[end - 1] == _BACKSLASH:
        raise wrong("audio", "Invalid 'audio': expected base64-encoded audio.")
    sound, left = bytearray(), b""
    for start in range(begin, end, DECODED_CHARS):
        piece = (left + text[start : min(start + DECODED_CHARS, end)]).replace(b"\\/", b"/")
        whole = (len(piece) - piece.endswith(b"\\")) // 4 * 4
        left = piece[whole:]
        if len(sound) % 3:
            return None  # there was padding before
        try:
            sound += b64decode(piece[:whole], None, True)
        except (NotBase64Error, ValueError):
            return None
        yield
    return None if left else sound
