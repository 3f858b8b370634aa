"""How an observer reads a session of this dialect: messages without secrets, audio with its format."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from streaming import watch
from streaming.ports import SeenAudio, SeenFrame, SeenMessage
from streaming.protocol import frame as wire_frame
from streaming.protocol.errors import RemoteProtocolError
from streaming.redaction import without_secrets

if TYPE_CHECKING:
    from streaming.jarvis.channels import Channels
    from streaming.ports import Seen, Side
    from streaming.protocol.server import ServerConnection

OBSERVE = '{"type":"observe.'  # what an observer is told is not shown to further ones: two that watch each other would never end


class WatchedSession(watch.Tapped, Protocol):
    """The live session, as seen by observers."""

    connection: ServerConnection
    work: Channels


class ChannelWatch(watch.Watch):
    """Shows every message, and every frame of audio if `audio`."""

    def __init__(self, live: WatchedSession, *, audio: bool) -> None:
        super().__init__(live)
        self._live = live
        self._audio = audio
        self._sounds = live.work.sounds()
        self._told: SeenAudio | None = None

    def wants(self, data: str | bytes) -> bool:
        return self._audio or isinstance(data, str)

    def read(self, side: Side, data: str | bytes) -> list[Seen]:
        if isinstance(data, bytes):
            return self._seen_frame(side, data)
        mirrors = side == "server" and data.startswith(OBSERVE)
        message = None if mirrors else watch.json_object(side, data)
        if message is None:
            return []
        self._learn(side, message)
        return [SeenMessage(side, without_secrets(data, message))]

    def _learn(self, direction: Side, message: dict[str, Any]) -> None:
        """Learn the format of the audio after this message. What the client claims may be wrong, so the connection is asked."""
        kind, channel = message.get("type"), message.get("channel")
        if not isinstance(channel, int):
            return
        if kind == "tts.started" and direction == "server":
            self._sounds["server", channel] = message["encoding"], message["sample_rate"]
        elif kind == "channel.open":
            opened = self._live.connection.microphone_format(channel)
            if opened is not None:
                self._sounds["client", channel] = opened

    def _seen_frame(self, direction: Side, data: bytes) -> list[Seen]:
        try:
            frame = wire_frame.decode(data)
        except RemoteProtocolError:
            return []  # its session is told
        sound = self._sounds.get((direction, frame.channel))
        if sound is None:
            return []
        seen: list[Seen] = [SeenFrame(frame.payload, frame.pts_ms, frame.flags & wire_frame.LAST != 0)]
        now = SeenAudio(direction, frame.channel, *sound)
        if now != self._told:
            self._told = now
            seen.insert(0, now)
        return seen
