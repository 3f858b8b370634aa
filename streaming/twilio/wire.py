"""Twilio's messages as JSON: https://www.twilio.com/docs/voice/media-streams/websocket-messages. Pure."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from json import dumps
from typing import Any

from streaming.strict_json import NotJsonError, UnsafeJsonError, parse_object

MAX_DEPTH = 8
MAX_NAME_CHARS = 128  # of ids, digits and the like
KEYS = "0123456789*#ABCD"  # ABCD: the fourth column, which few telephones have
PARAMETERS = ("caller", "language", "voice")  # others of the TwiML are not for us
INBOUND = ("inbound", "inbound_track")


class UnreadableMessageError(Exception):
    """The message is not Twilio's; the text says why. The socket is closed, because the protocol has no errors."""


@dataclass(frozen=True, slots=True)
class Start:
    """The call begins. `parameters`: those of the TwiML that are known here."""

    stream_sid: str
    call_sid: str
    parameters: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Media:
    """20 ms of the caller's voice: µ-law, 8 kHz."""

    audio: bytes


@dataclass(frozen=True, slots=True)
class Mark:
    """Everything before the mark of that name was played, or cleared."""

    name: str


@dataclass(frozen=True, slots=True)
class Dtmf:
    """A key was pressed."""

    digit: str


@dataclass(frozen=True, slots=True)
class Stop:
    """The call, or the stream, has ended."""


@dataclass(frozen=True, slots=True)
class Other:
    """A message without effect here: `connected`, sound of the other track, and what Twilio may add."""


TwilioMessage = Start | Media | Mark | Dtmf | Stop | Other


def read(data: str | bytes) -> TwilioMessage:
    """The message. Raises UnreadableMessageError."""
    if isinstance(data, bytes):
        raise UnreadableMessageError("messages are JSON in text")
    try:
        fields = parse_object(data, MAX_DEPTH)
    except (NotJsonError, UnsafeJsonError) as flaw:
        raise UnreadableMessageError(str(flaw)) from None
    event = _text(fields, "event")
    if event == "media":
        return _media(_object(fields, event))
    if event == "mark":
        return Mark(_text(_object(fields, event), "name"))
    if event == "dtmf":
        return _dtmf(_object(fields, event))
    if event == "start":
        return _start(_object(fields, event))
    return Stop() if event == "stop" else Other()


def _object(fields: dict[str, Any], name: str) -> dict[str, Any]:
    value = fields.get(name)
    if not isinstance(value, dict):
        raise UnreadableMessageError(f"'{name}' must be an object")
    return value


def _text(fields: dict[str, Any], name: str) -> str:
    value = fields.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME_CHARS:
        raise UnreadableMessageError(f"'{name}' must be a string of at most {MAX_NAME_CHARS} characters")
    return value


def _media(fields: dict[str, Any]) -> TwilioMessage:
    if fields.get("track", "inbound") not in INBOUND:
        return Other()
    payload = fields.get("payload")
    if not isinstance(payload, str):
        raise UnreadableMessageError("'payload' must be a string")
    try:
        return Media(b64decode(payload, validate=True))
    except (binascii.Error, ValueError):
        raise UnreadableMessageError("'payload' must be base64") from None


def _dtmf(fields: dict[str, Any]) -> Dtmf:
    digit = _text(fields, "digit")
    if len(digit) != 1 or digit not in KEYS:
        raise UnreadableMessageError(f"'digit' must be one of {KEYS}")
    return Dtmf(digit)


def _start(fields: dict[str, Any]) -> Start:
    form = _object(fields, "mediaFormat")
    if (form.get("encoding"), form.get("sampleRate"), form.get("channels")) != ("audio/x-mulaw", 8_000, 1):
        raise UnreadableMessageError("'mediaFormat' must be audio/x-mulaw, 8000, 1 channel: Twilio has no other")
    given = fields.get("customParameters") or {}
    if not isinstance(given, dict):
        raise UnreadableMessageError("'customParameters' must be an object")
    parameters = {name: _text(given, name) for name in PARAMETERS if given.get(name, "") != ""}
    return Start(_text(fields, "streamSid"), _text(fields, "callSid"), parameters)


def media(stream_sid: str, audio: bytes) -> str:
    """Sound for the telephone's speaker: µ-law, 8 kHz."""
    return f'{{"event":"media","streamSid":{dumps(stream_sid)},"media":{{"payload":"{b64encode(audio).decode()}"}}}}'


def mark(stream_sid: str, name: str) -> str:
    """Twilio sends it back once everything before it was played."""
    return dumps({"event": "mark", "streamSid": stream_sid, "mark": {"name": name}}, separators=(",", ":"))


def clear(stream_sid: str) -> str:
    """Drop what was sent but not played yet."""
    return dumps({"event": "clear", "streamSid": stream_sid}, separators=(",", ":"))
