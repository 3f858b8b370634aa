"""Reads `input_audio_buffer.append` as clients usually write it, without parsing it as JSON: a microphone sends fifty a second. Pure."""

from __future__ import annotations

import re
from binascii import Error as NotBase64Error

from pybase64 import b64decode

from streaming.openai.pace import SOUND_CHARS

_TYPE = r'("type": ?"input_audio_buffer\.append")'
_ID = r'"event_id": ?"([\w.-]{1,128})"'
_BEFORE = re.compile(rf'\{{(?:{_ID}, ?)?(?:{_TYPE}, ?)?(?:{_ID}, ?)?"audio": ?"', re.ASCII)
_AFTER = re.compile(rf'"(?:, ?{_ID})?(?:, ?{_TYPE})?(?:, ?{_ID})?\}}', re.ASCII)


_USUAL = (  # as Python's and JavaScript's clients write it, without an id
    ('{"type": "input_audio_buffer.append", "audio": "', '"}'),
    ('{"type":"input_audio_buffer.append","audio":"', '"}'),
    ('{"audio": "', '", "type": "input_audio_buffer.append"}'),
    ('{"audio":"', '","type":"input_audio_buffer.append"}'),
)


def appended(data: str) -> tuple[bytes, str] | None:
    """The audio and the client's `event_id` (empty: none). None: the event may still be valid, or be another, so parse it.

    One so short that it counts as an event is left to be parsed and counted.
    """
    for head, tail in _USUAL:
        if data.startswith(head) and data.endswith(tail) and len(data) >= SOUND_CHARS:
            audio = _decoded(data[len(head) : -len(tail)])
            if audio is not None:
                return audio, ""
            break  # there may be an id between
    before = _BEFORE.match(data)
    if before is None or len(data) < SOUND_CHARS:
        return None
    start = before.end()
    end = data.find('"', start)  # base64 contains no quote, nor anything else that JSON would escape
    after = _AFTER.fullmatch(data, end) if end >= start else None
    if after is None:
        return None
    first, kind, second = before.groups("")
    third, kind_after, fourth = after.groups("")
    if bool(kind) == bool(kind_after):
        return None
    event_id = first + second + third + fourth
    if event_id and event_id not in (first, second, third, fourth):
        return None  # given twice
    audio = _decoded(data[start:end])
    return None if audio is None else (audio, event_id)


def _decoded(text: str) -> bytes | None:
    """The audio. None: it contains something else than base64, such as a quote or an escape."""
    try:
        return b64decode(text, None, True)  # strictly; by name, the argument doubles the time
    except (NotBase64Error, ValueError):
        return None
