"""How observers see a session of this dialect. Audio is part of events; without `audio`, none of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.openai.mistakes import one_of
from streaming.ports import SeenMessage
from streaming.watch import TOOL_SECRETS, Tapped, Watch, json_object

if TYPE_CHECKING:
    from streaming.ports import Seen, Side

SOUND = frozenset(
    [
        "response.output_audio.delta",
        "input_audio_buffer.append",
        "session.output_audio.delta",
        "session.input_audio.append",
    ]
)
"""Events that consist of audio."""

_USUAL = tuple(f'"{kind}"' for kind in SOUND)
_HEAD_CHARS = 128  # in which clients usually name an event's type


def redacted(value: Any, hidden: frozenset[str] = TOOL_SECRETS) -> Any:
    """The value without the fields in `hidden`. `audio` is hidden only as base64: of a session, it is an object."""
    if isinstance(value, dict):
        return {
            name: "…"
            if name in hidden and not (name == "audio" and isinstance(inner, dict))
            else redacted(inner, hidden)
            for name, inner in value.items()
        }
    return [redacted(inner, hidden) for inner in value] if isinstance(value, list) else value


class EventWatch(Watch):
    """Shows every event; audio only if `audio`."""

    def __init__(self, live: Tapped, *, audio: bool) -> None:
        super().__init__(live)
        self._audio = audio
        self._hidden = TOOL_SECRETS if audio else TOOL_SECRETS | {"audio"}

    def wants(self, data: str | bytes) -> bool:
        """False for audio in its usual form, so that it is not kept. `read` finds any other."""
        return isinstance(data, str) and (self._audio or not any(kind in data[:_HEAD_CHARS] for kind in _USUAL))

    def read(self, side: Side, data: str | bytes) -> list[Seen]:
        event = json_object(data) if isinstance(data, str) else None
        if event is None or (not self._audio and one_of(event.get("type"), SOUND)):
            return []
        return [SeenMessage(side, redacted(event, self._hidden))]
