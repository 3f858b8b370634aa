"""Parses and checks client events. Pure: text in, an event out, or a MistakeError."""

from __future__ import annotations

import binascii
from base64 import b64decode
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeAlias

from streaming.openai.mistakes import MistakeError, beyond, missing, one_of, wrong
from streaming.strict_json import (
    NotJsonError,
    UnsafeJsonError,
    can_be_sent,
    parse_object,
)

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

MAX_DEPTH = 32  # JSON schemas of tools nest
MAX_EVENT_ID_CHARS = 512

FIELDS: dict[str, tuple[str, ...]] = {
    "session.update": ("session",),
    "input_audio_buffer.append": ("audio",),
    "input_audio_buffer.commit": (),
    "input_audio_buffer.clear": (),
    "conversation.item.create": ("item", "previous_item_id"),
    "conversation.item.retrieve": ("item_id",),
    "conversation.item.delete": ("item_id",),
    "conversation.item.truncate": ("item_id", "content_index", "audio_end_ms"),
    "response.create": ("response",),
    "response.cancel": ("response_id",),
    "output_audio_buffer.clear": (),
}
"""The client events of the Realtime API, with their fields besides `type` and `event_id`."""

TYPES = tuple(FIELDS)


Sounds: TypeAlias = "Mapping[str, bytearray | None]"
"""Long sound of an event, by the words that stand for it in the event's fields: see `long_sound`. None: it is not base64."""
NO_SOUNDS: Sounds = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class ClientEvent:
    """One client event. `fields`: all but `type` and `event_id`."""

    kind: str
    event_id: str
    fields: dict[str, Any]
    sounds: Sounds = field(default_factory=dict)

    def check_fields(self) -> None:
        """Raises MistakeError for a field that this event of the Realtime API does not have."""
        known = FIELDS[self.kind]
        for name in self.fields:
            if name not in known:
                raise MistakeError("unknown_parameter", f"Unknown parameter: '{name[:64]}'.", name[:64])

    def text(self, name: str) -> str:
        """A required string. Raises MistakeError."""
        value = self.fields.get(name)
        if value is None:
            raise missing(name)
        if not isinstance(value, str):
            raise MistakeError("invalid_type", f"Invalid type for '{name}': expected a string.", name)
        return value

    def whole(self, name: str) -> int:
        """A required integer from 0. Raises MistakeError."""
        value = self.fields.get(name)
        if value is None:
            raise missing(name)
        if isinstance(value, bool) or not isinstance(value, int):
            raise MistakeError("invalid_type", f"Invalid type for '{name}': expected an integer.", name)
        if value < 0:
            raise beyond(name, 0, below=True)
        return value

    def optional_text(self, name: str) -> str | None:
        """An optional string. Raises MistakeError."""
        return None if self.fields.get(name) is None else self.text(name)

    def audio(self) -> bytes | bytearray:
        """The audio of an append. Raises MistakeError."""
        return decoded(self.text("audio"), "audio", self.sounds)


def decoded(audio: str, param: str, sounds: Sounds) -> bytes | bytearray:
    """Sound in base64, or one of `sounds`. Raises MistakeError."""
    sound: bytes | bytearray | None
    try:
        sound = sounds[audio] if audio in sounds else b64decode(audio, validate=True)
    except (binascii.Error, ValueError):
        sound = None
    if sound is None:
        raise wrong(param, f"Invalid '{param}': expected base64-encoded audio.")
    return sound


class UnreadableEventError(MistakeError):
    """The message is not a valid client event. `event_id`: the client's, if it could be found."""

    def __init__(self, code: str, message: str, param: str, event_id: str) -> None:
        super().__init__(code, message, param)
        self.event_id = event_id


def read(data: str | bytes, types: Collection[str] = TYPES, sounds: Sounds = NO_SOUNDS) -> ClientEvent:
    """The event in a message, one of `types`. `sounds`: taken out of it before. Raises UnreadableEventError."""
    if isinstance(data, bytes):
        raise UnreadableEventError(
            "invalid_message", "events are JSON in text messages; audio is base64 in them", "", ""
        )
    try:
        fields = parse_object(data, MAX_DEPTH)
    except UnsafeJsonError as flaw:
        raise UnreadableEventError("invalid_json", str(flaw), "", _event_id(flaw.fields)) from None
    except NotJsonError as flaw:
        raise UnreadableEventError("invalid_json", str(flaw), "", "") from None
    event_id = _event_id(fields)
    kind = fields.pop("type", None)
    if kind is None:
        raise UnreadableEventError(
            "missing_required_parameter", "Missing required parameter: 'type'.", "type", event_id
        )
    if not one_of(kind, types):
        named = kind[:64] if isinstance(kind, str) else "?"
        message = f"Invalid value: '{named}'. Supported values are: {', '.join(types)}."
        raise UnreadableEventError("invalid_value", message, "type", event_id)
    fields.pop("event_id", None)
    return ClientEvent(kind, event_id, fields, sounds)


def _event_id(fields: dict[str, Any]) -> str:
    given = fields.get("event_id")
    if not isinstance(given, str) or len(given) > MAX_EVENT_ID_CHARS:
        return ""
    return given if can_be_sent(given) else ""
