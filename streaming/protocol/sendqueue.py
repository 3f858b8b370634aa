"""Messages waiting to be sent: control first, then audio as credit allows, round robin over the channels.

Events are never dropped. Waiting progress of one task is merged, its output joined. Messages about a channel's audio
(`follows_audio`) keep their place behind it.
"""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from streaming.protocol.channel import ServerChannel
from streaming.protocol.frame import HEADER_BYTES
from streaming.protocol.messages import SeenEvent, TaskProgress, TtsStarted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from streaming.protocol.channel import Channel
    from streaming.protocol.messages import Message

ProgressKey = tuple[int, str | None]  # channel and step of a task


class QueuedText:
    """A serialised message without sequence number. `serial`: assigned by the queue, unique in the session.

    `closes`: the channel whose last message it is. `begins`: the channel on which an utterance begins after it.
    """

    __slots__ = ("begins", "closes", "progress", "serial", "size", "text")

    def __init__(self, text: str, closes: int | None = None, begins: int | None = None) -> None:
        self.text = text
        self.size = len(text.encode())
        self.closes = closes
        self.begins = begins
        self.serial = 0
        self.progress: TaskProgress | None = None  # set while it may be merged


class QueuedAudio(NamedTuple):
    """A frame without sequence number."""

    channel: int
    payload: bytes
    generation: int
    pts_ms: int
    flags: int

    @property
    def size(self) -> int:
        """Bytes on the wire."""
        return len(self.payload) + HEADER_BYTES


class _Media:
    """A channel's queued frames, with the messages between them."""

    __slots__ = ("audio_bytes", "items")

    def __init__(self) -> None:
        self.items: deque[QueuedAudio | QueuedText] = deque()
        self.audio_bytes = 0  # payload only


def serialise(message: Message) -> str:
    """The message as JSON, without empty fields."""
    if type(message) is SeenEvent:
        return message.to_json()
    return message.model_dump_json(exclude_none=True)


def merged(earlier: TaskProgress, later: TaskProgress, max_bytes: int) -> TaskProgress | None:
    """One progress message for both; None if output would be lost, reordered or too long."""
    data = (earlier.data or "") + (later.data or "") or None
    if earlier.data and later.data and (earlier.stream != later.stream or len(data or "") > max_bytes):
        return None
    stream = later.stream if later.data else earlier.stream
    percent = earlier.percent if later.percent is None else later.percent
    return later.model_copy(
        update={"data": data, "stream": stream, "percent": percent, "message": later.message or earlier.message}
    )


def _price(item: QueuedAudio, channel: Channel) -> int:
    """The frame's cost in credit bytes: 0 if another replica has already paid for it."""
    paid = isinstance(channel, ServerChannel) and item.pts_ms <= channel.paid_pts_ms
    return 0 if paid else len(item.payload)


_NOTHING: deque[QueuedText] = deque(maxlen=0)  # shared by all queues without control messages


class SendQueue:
    """The send queue. `bytes`: queued bytes as on the wire."""

    __slots__ = (
        "_control",
        "_last_serial",
        "_max_merged_bytes",
        "_media",
        "_progress",
        "_turns",
        "bytes",
        "merged_messages",
    )

    def __init__(self, max_merged_bytes: int) -> None:
        self._max_merged_bytes = max_merged_bytes
        self._control: deque[QueuedText] = _NOTHING  # while empty: an idle session's deque would take 760 bytes
        self._media: dict[int, _Media] = {}
        self._turns: list[int] = []  # channels with media, in round-robin order
        self._progress: dict[ProgressKey, QueuedText] = {}
        self.bytes = 0
        self.merged_messages = 0
        self._last_serial = 0

    # --- in ---

    def put(self, message: Message, channel: int | None = None, closes: int | None = None) -> str:
        """Queue a message of `channel`; `closes` names the channel whose last message it is. Returns its text."""
        if isinstance(message, TaskProgress):
            return self._put_progress(message)
        if channel is not None and self._progress:  # progress after a result belongs to another run
            self._progress.pop((channel, getattr(message, "step_id", None)), None)
        item = QueuedText(serialise(message), closes, channel if isinstance(message, TtsStarted) else None)
        self.put_text(item, channel if message.follows_audio else None)
        return item.text

    def put_text(self, item: QueuedText, behind: int | None = None) -> None:
        """Queue a serialised message, behind the audio of channel `behind` if it has any."""
        self._number(item)
        self.bytes += item.size
        media = self._media.get(behind) if behind is not None else None
        if media is None:
            if self._control is _NOTHING:
                self._control = deque()
            self._control.append(item)
        else:
            media.items.append(item)

    def _number(self, item: QueuedText) -> None:
        self._last_serial += 1
        item.serial = self._last_serial

    def number_from(self, serial: int) -> None:
        """Continue after this serial number, the last one given elsewhere."""
        self._last_serial = serial

    def _put_progress(self, message: TaskProgress) -> str:
        step = (message.channel, message.step_id)
        waiting = self._progress.get(step)
        if waiting is not None and waiting.progress is not None:
            both = merged(waiting.progress, message, self._max_merged_bytes)
            if both is not None:
                self._replace(waiting, both)
                return waiting.text
        item = QueuedText(serialise(message))
        item.progress = message
        self._progress[step] = item
        self.put_text(item)
        return item.text

    def _replace(self, waiting: QueuedText, message: TaskProgress) -> None:
        self.bytes -= waiting.size
        waiting.progress = message
        waiting.text = serialise(message)
        self._number(waiting)
        waiting.size = len(waiting.text.encode())
        self.bytes += waiting.size
        self.merged_messages += 1

    def put_audio(self, item: QueuedAudio) -> None:
        """Queue a frame."""
        self.bytes += item.size
        media = self._media.get(item.channel)
        if media is None:
            media = self._media[item.channel] = _Media()
            self._turns.append(item.channel)
        media.items.append(item)
        media.audio_bytes += len(item.payload)

    # --- out ---

    def pop(self, channels: Mapping[int, Channel]) -> QueuedText | QueuedAudio | None:
        """The next item to send; audio spends its channel's credit. None if everything left waits for credit."""
        item = self._pop_control() if self._control else self._pop_media(channels)
        if item is not None:
            self.bytes -= item.size
        return item

    def _pop_control(self) -> QueuedText:
        item = self._control.popleft()
        if not self._control:
            self._control = _NOTHING
        if item.progress is not None:
            step = (item.progress.channel, item.progress.step_id)
            if self._progress.get(step) is item:
                del self._progress[step]
        return item

    def _pop_media(self, channels: Mapping[int, Channel]) -> QueuedText | QueuedAudio | None:
        channel = self._next_turn(channels)
        if channel is None:
            return None
        turns = self._turns
        after = turns.index(channel) + 1
        turns[:] = turns[after:] + turns[:after]
        media = self._media[channel]
        item = media.items.popleft()
        if isinstance(item, QueuedAudio):
            channels[channel].send_window.consume(_price(item, channels[channel]))
            media.audio_bytes -= len(item.payload)
        if not media.items:
            self._forget(channel)
        return item

    def _next_turn(self, channels: Mapping[int, Channel]) -> int | None:
        """The channel whose turn it is among those with something to send; None if all wait for credit."""
        for channel in self._turns:
            head = self._media[channel].items[0]
            if (
                isinstance(head, QueuedText)
                or _price(head, channels[channel]) <= channels[channel].send_window.available
            ):
                return channel
        return None

    def _forget(self, channel: int) -> None:
        del self._media[channel]
        self._turns.remove(channel)

    # --- state ---

    def next_bytes(self, channels: Mapping[int, Channel]) -> int:
        """The size of what `pop` would return."""
        if self._control:
            return self._control[0].size
        channel = self._next_turn(channels)
        return 0 if channel is None else self._media[channel].items[0].size

    def sendable(self, channels: Mapping[int, Channel]) -> bool:
        """True if `pop` would return something."""
        return bool(self._control) or self._next_turn(channels) is not None

    def audio_bytes(self, channel: int) -> int:
        """Payload bytes queued on a channel."""
        media = self._media.get(channel)
        return media.audio_bytes if media else 0

    def drop_audio(self, channel: int) -> int:
        """Drop a channel's queued audio; returns its payload bytes. Messages behind it stay, and no longer wait."""
        media = self._media.get(channel)
        if media is None:
            return 0
        self.bytes -= sum(item.size for item in media.items)
        self._forget(channel)
        for item in media.items:
            if isinstance(item, QueuedText):
                self.put_text(item)
        return media.audio_bytes

    def drop_oldest_frame(self, channel: int) -> None:
        """Drop a channel's oldest queued frame, which must exist."""
        media = self._media[channel]
        oldest = next(item for item in media.items if isinstance(item, QueuedAudio))
        media.items.remove(oldest)
        media.audio_bytes -= len(oldest.payload)
        self.bytes -= oldest.size
        if not media.items:
            self._forget(channel)

    def clear(self) -> None:
        """Drop everything."""
        self._control = _NOTHING
        self._media.clear()
        self._turns.clear()
        self._progress.clear()
        self.bytes = 0

    def texts(self) -> Iterator[QueuedText]:
        """All queued messages: control first, then those between audio, channel by channel."""
        yield from self._control
        for media in self._media.values():
            yield from (item for item in media.items if isinstance(item, QueuedText))
