"""How observers see a session of this dialect. Audio is part of events; without `audio`, none of it is shown."""

from __future__ import annotations

import json
from itertools import chain
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


def hide(event: dict[str, Any], hidden: frozenset[str]) -> bool:
    """Replace the fields in `hidden`, at any depth; False: there are none. `audio` is one only as base64: of a session, it is an object.

    Level by level, most of it in C: an event has thousands of values, and others wait.
    """
    found, level = False, list[Any]([event])
    while level:
        objects = [value for value in level if type(value) is dict]
        arrays = [value for value in level if type(value) is list]
        for fields in objects:
            if not hidden.isdisjoint(fields):
                for name in hidden & fields.keys():
                    if name != "audio" or type(fields[name]) is not dict:
                        fields[name], found = "…", True
        level = [*chain.from_iterable(map(dict.values, objects)), *chain.from_iterable(arrays)]
    return found


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
        event = json_object(side, data) if isinstance(data, str) else None
        if event is None or (not self._audio and one_of(event.get("type"), SOUND)):
            return []
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":")) if hide(event, self._hidden) else str(data)
        return [SeenMessage(side, text)]
