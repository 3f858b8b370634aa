"""The client's sending half: what waits to be sent, and what may have to be sent again."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from streaming.protocol import frame
from streaming.protocol.outbox import numbered
from streaming.protocol.sendqueue import QueuedAudio, QueuedText, SendQueue, serialise

if TYPE_CHECKING:
    from streaming.protocol.channel import ClientChannel
    from streaming.protocol.limits import ClientLimits
    from streaming.protocol.messages import Message


class Kept(NamedTuple):
    """A sent message. `number`: of a command if `channel` is None, else of the channel's frame."""

    channel: int | None
    number: int
    data: str | bytes


class ClientOutbox:
    """Commands and frames get their numbers when they are sent, and are kept in order until the server has taken them."""

    __slots__ = ("_channels", "_kept", "_last_number", "_limits", "_resending", "_socket", "attached", "queue")

    def __init__(self, limits: ClientLimits, channels: dict[int, ClientChannel]) -> None:
        self._limits = limits
        self._channels = channels
        self.queue = SendQueue(0)
        self.attached = False
        self._last_number = 0
        self._socket: deque[str] = deque()
        self._kept: deque[Kept] = deque()
        self._resending: deque[Kept] = deque()

    def attach(self) -> None:
        """A socket is ready for writing."""
        self.attached = True

    def detach(self) -> None:
        """The socket is gone."""
        self.attached = False
        self._socket.clear()
        self._resending.clear()

    def resume(self, taken_seq: int, next_frames: dict[int, int]) -> None:
        """Send again what the server has not taken: commands after `taken_seq`, frames from each channel's expected one on."""
        self.commands_taken(taken_seq)
        for channel in {kept.channel for kept in self._kept} - {None}:
            assert channel is not None
            if channel in next_frames:
                self.frames_taken(channel, next_frames[channel])
            else:
                self.forget_channel(channel)  # the server has closed it
        self._resending.extend(self._kept)

    def clear(self) -> None:
        """Drop everything: a new epoch began."""
        self.queue.clear()
        self._kept.clear()
        self._last_number = 0

    # --- in ---

    def put_for_socket(self, message: Message) -> None:
        """Queue a message of the socket; dropped if there is no socket."""
        if self.attached:
            self._socket.append(serialise(message))

    def put(self, message: Message, behind: int | None = None) -> None:
        """Queue a command; `behind`: after the queued audio of that channel."""
        self.queue.put_text(QueuedText(serialise(message)), behind)

    def put_audio(self, channel: ClientChannel, item: QueuedAudio) -> None:
        """Queue a frame. If too much waits, the oldest frame is dropped, and the next one is marked."""
        self.queue.put_audio(item)
        while self.queue.audio_bytes(channel.id) > self._limits.pending_audio_bytes:
            self.queue.drop_oldest_frame(channel.id)
            channel.lost = True

    def drop_audio(self, channel: int) -> None:
        """Drop a channel's queued audio."""
        self.queue.drop_audio(channel)

    def forget_channel(self, channel: int) -> None:
        """Drop the queued and kept audio of a closed channel."""
        self.queue.drop_audio(channel)
        self._kept = deque(kept for kept in self._kept if kept.channel != channel)

    def commands_taken(self, seq: int) -> None:
        """The server has taken the commands up to `seq`."""
        self._kept = deque(kept for kept in self._kept if kept.channel is not None or kept.number > seq)

    def frames_taken(self, channel: int, next_frame: int) -> None:
        """The server has taken a channel's frames before `next_frame`."""
        self._kept = deque(kept for kept in self._kept if kept.channel != channel or kept.number >= next_frame)

    # --- out ---

    def has_data(self, *, awaiting: bool) -> bool:
        """True if `data_to_send` would return something."""
        if not self.attached:
            return False
        return bool(self._socket) or (not awaiting and bool(self._resending or self.queue.sendable(self._channels)))

    def data_to_send(self, max_bytes: int, *, awaiting: bool) -> list[str | bytes]:
        """The next messages to send; while `awaiting` the session, only those of the socket."""
        if not self.attached:
            return []
        data: list[str | bytes] = list(self._socket)
        self._socket.clear()
        if awaiting:
            return data
        size = 0
        while size < max_bytes and self._resending:
            data.append(self._resending.popleft().data)
            size += len(data[-1])
        while size < max_bytes and (item := self.queue.pop(self._channels)) is not None:
            kept = self._leave(item)
            self._kept.append(kept)
            data.append(kept.data)
            size += item.size
        return data

    def _leave(self, item: QueuedText | QueuedAudio) -> Kept:
        if isinstance(item, QueuedText):
            self._last_number += 1
            return Kept(None, self._last_number, numbered(item.text, self._last_number))
        channel = self._channels[item.channel]
        flags = item.flags | (frame.LOST if channel.lost else 0)
        channel.lost = False
        number = channel.next_frame
        channel.next_frame += 1
        data = frame.encode(item.channel, item.payload, seq=number, pts_ms=item.pts_ms, flags=flags)
        return Kept(item.channel, number, data)
