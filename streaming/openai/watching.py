"""How observers see a session of this dialect. Audio is part of events; without `audio`, none of it is shown."""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.openai.mistakes import one_of
from streaming.ports import SeenMessage
from streaming.redaction import NONE, without_secrets
from streaming.watch import Tapped, Watch, json_object

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


class EventWatch(Watch):
    """Shows every event; audio only if `audio`."""

    def __init__(self, live: Tapped, *, audio: bool) -> None:
        super().__init__(live)
        self._audio = audio
        self._hidden = NONE if audio else frozenset({"audio"})

    def wants(self, data: str | bytes) -> bool:
        """False for audio in its usual form, so that it is not kept. `read` finds any other."""
        return isinstance(data, str) and (self._audio or not any(kind in data[:_HEAD_CHARS] for kind in _USUAL))

    def read(self, side: Side, data: str | bytes) -> list[Seen]:
        event = json_object(side, data) if isinstance(data, str) else None
        if event is None or (not self._audio and one_of(event.get("type"), SOUND)):
            return []
        return [SeenMessage(side, without_secrets(str(data), event, self._hidden))]
