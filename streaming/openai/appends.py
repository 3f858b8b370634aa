"""Reads `input_audio_buffer.append` as clients usually write it, without parsing it as JSON: a microphone sends fifty a second. Pure."""

from __future__ import annotations

import binascii
import re
from binascii import a2b_base64

_TYPE = r'("type": ?"input_audio_buffer\.append")'
_ID = r'"event_id": ?"([\w.-]{1,128})"'
_BEFORE = re.compile(rf'\{{(?:{_ID}, ?)?(?:{_TYPE}, ?)?(?:{_ID}, ?)?"audio": ?"', re.ASCII)
_AFTER = re.compile(rf'"(?:, ?{_ID})?(?:, ?{_TYPE})?(?:, ?{_ID})?\}}', re.ASCII)


def appended(data: str) -> tuple[bytes, str] | None:
    """The audio and the client's `event_id` (empty: none). None: the event may still be valid, or be another, so parse it."""
    before = _BEFORE.match(data)
    if before is None:
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
    try:
        return a2b_base64(data[start:end], strict_mode=True), event_id
    except (binascii.Error, ValueError):
        return None
