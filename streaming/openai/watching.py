"""How observers see a session of this dialect. Audio is part of events; without `audio`, these are left out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.ports import SeenMessage
from streaming.watch import Watch, Watched, json_object

if TYPE_CHECKING:
    from streaming.ports import Seen, Side

SECRETS = frozenset(["authorization", "headers", "server_url"])  # in a session's `mcp` tools
_AUDIO = ('"type":"response.output_audio.delta"', '"input_audio_buffer.append"')


def redacted(value: Any) -> Any:
    """The value without secrets."""
    if isinstance(value, dict):
        return {name: "…" if name in SECRETS else redacted(inner) for name, inner in value.items()}
    return [redacted(inner) for inner in value] if isinstance(value, list) else value


class EventWatch(Watch):
    """Shows every event; those with audio only if `audio`."""

    def __init__(self, live: Watched, *, audio: bool) -> None:
        super().__init__(live)
        self._audio = audio

    def wants(self, data: str | bytes) -> bool:
        return isinstance(data, str) and (self._audio or not any(mark in data[:128] for mark in _AUDIO))

    def read(self, side: Side, data: str | bytes) -> list[Seen]:
        event = json_object(data) if isinstance(data, str) else None
        return [] if event is None else [SeenMessage(side, redacted(event))]
