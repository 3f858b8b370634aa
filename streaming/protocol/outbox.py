"""The server's sending half: queue, numbers, replay. A message gets its number as it leaves, and is kept until acknowledged."""

from __future__ import annotations

from collections import deque
from typing import TYPE_CHECKING, Any

from streaming.protocol import frame
from streaming.protocol.channel import ChannelInput
from streaming.protocol.events import ResumeLost, SlowConsumer
from streaming.protocol.messages import SessionResumed
from streaming.protocol.replay import ReplayBuffer
from streaming.protocol.sendqueue import QueuedAudio, QueuedText, SendQueue, serialise

if TYPE_CHECKING:
    from streaming.protocol.channel import ServerChannel
    from streaming.protocol.events import Event
    from streaming.protocol.limits import Limits
    from streaming.protocol.messages import Message

# Messages that may have left after the newest save. They are audio frames, since a save precedes each text: many minutes of them.
MAX_UNSAVED = 65_536
HOLD_S = 10.0  # what is full is held back for so long: a client that reads acknowledges every second


def numbered(text: str, seq: int) -> str:
    """The serialised object with its `seq` as the last field."""
    return f'{text[:-1]},"seq":{seq}}}'


def _unnumbered(text: str) -> str:
    return text[: text.rindex(',"seq":')] + "}"


class Outbox:
    """`lost`: nothing can be resumed any more; whatever is put in goes nowhere. `events` is the owner's to empty."""

    __slots__ = (
        "_acknowledges",
        "_held_since",
        "_limits",
        "_moved",
        "_resending",
        "_slow_told",
        "_socket",
        "attached",
        "audio_bytes_dropped",
        "channels",
        "events",
        "lost",
        "queue",
        "replay",
    )

    def __init__(self, limits: Limits, channels: dict[int, ServerChannel]) -> None:
        self._limits = limits
        self.channels = channels
        self.queue = SendQueue(limits.merged_progress_bytes)
        self.replay = ReplayBuffer(limits.replay_bytes, limits.replay_s)
        self.events: list[Event] = []
        self.attached = False
        self.lost = False
        self.audio_bytes_dropped = 0
        self._slow_told = False
        self._acknowledges = False  # does this client? One that does not is not held back: it never resumes either
        self._held_since: float | None = None
        self._moved = 0  # left at another replica, and did not arrive
        self._socket: deque[str] = deque()  # of the socket: leaves first, carries no number
        self._resending: deque[str | bytes] = deque()

    # --- a socket comes and goes ---

    def attach(self) -> None:
        """A socket may be written to."""
        self.attached = True
        self._slow_told = False

    def detach(self) -> None:
        """It is gone, and what was meant for it alone too."""
        self.attached = False
        self._held_since = None
        self._socket.clear()
        self._resending.clear()
        self._check_size()

    def resume(self, last_seq: int, epoch: str, taken_seq: int, next_frames: dict[int, int]) -> bool:
        """Queue everything after `last_seq` again, behind `session.resumed`. False: a part is missing."""
        missed = None if self.lost else self.replay.since(last_seq)
        if missed is None:
            return False
        self.replay.acknowledge(last_seq)
        self.attach()
        self.put_for_socket(
            SessionResumed(epoch=epoch, replayed=len(missed) + self._moved, taken_seq=taken_seq, channels=next_frames)
        )
        self._moved = 0
        self._resending.extend(sent.data for sent in missed)
        return True

    # --- in ---

    def put_for_socket(self, message: Message) -> None:
        """A message of the socket: dropped when there is none."""
        if self.attached:
            self._socket.append(serialise(message))

    def put(self, message: Message, channel: int | None = None, closes: int | None = None) -> str:
        """A message of the session; returns its text."""
        text = self.queue.put(message, channel, closes)
        self._check_size()
        return text

    def put_again(self, text: str) -> None:
        """An answer given before."""
        self.queue.put_text(QueuedText(text))
        self._check_size()

    def put_audio(self, item: QueuedAudio) -> None:
        """A frame."""
        self.queue.put_audio(item)
        self._check_size()

    def drop_audio(self, channel: int) -> None:
        """Drop a channel's waiting audio."""
        self.audio_bytes_dropped += self.queue.drop_audio(channel)

    def _check_size(self) -> None:
        if self.lost:
            self.queue.clear()
        elif self.attached and self.queue.bytes > self._limits.queue_bytes and not self._slow_told:
            self._slow_told = True
            self.events.append(SlowConsumer(self.queue.bytes))
        elif not self.attached and self.queue.bytes > self._limits.detached_queue_bytes:
            self.lose("more had to wait for the client than is kept")

    def lose(self, reason: str) -> None:
        """Give up what is kept: a client that comes back starts anew."""
        self.lost = True
        self.queue.clear()
        self.replay.clear()
        self.events.append(ResumeLost(reason))

    # --- out ---

    def acknowledge(self, seq: int) -> None:
        """The client has received everything up to `seq`."""
        self.replay.acknowledge(seq)
        self._acknowledges, self._held_since = True, None

    @property
    def _full(self) -> bool:
        """Half of what can be kept for replay is on its way: more might push out what the client has not got."""
        return self._acknowledges and self.replay.bytes * 2 >= self._limits.replay_bytes

    @property
    def hold_ends_at(self) -> float | None:
        """When sending goes on without an acknowledgement."""
        return None if self._held_since is None else self._held_since + HOLD_S

    def end_hold(self, now: float) -> None:
        """A client that has stopped acknowledging is served as one that never did."""
        if self.hold_ends_at is not None and now >= self.hold_ends_at:
            self._acknowledges, self._held_since = False, None

    @property
    def has_data(self) -> bool:
        """Would `data_to_send` return something?"""
        if not self.attached:
            return False
        return bool(self._socket or self._resending or (not self._full and self.queue.sendable(self.channels)))

    def data_to_send(self, now: float, max_bytes: int) -> list[str | bytes]:
        """What to write next, until it exceeds `max_bytes`: little at a time, so that control can overtake media."""
        if not self.attached:
            return []
        data: list[str | bytes] = list(self._socket)
        self._socket.clear()
        size = 0
        while size < max_bytes and self._resending:
            data.append(self._resending.popleft())
            size += len(data[-1])
        if not self._full:
            self._held_since = None
        elif self._held_since is None and self.queue.bytes:
            self._held_since = now
        while size < max_bytes and not self._full and (item := self.queue.pop(self.channels)) is not None:
            message = self._leave(item)
            self.replay.push(message, item.size, now, 0 if isinstance(item, QueuedAudio) else item.serial)
            data.append(message)
            size += item.size
        return data

    def _leave(self, item: QueuedText | QueuedAudio) -> str | bytes:
        seq = self.replay.last_seq + 1
        if isinstance(item, QueuedAudio):
            self.channels[item.channel].sent_pts_ms = item.pts_ms
            return frame.encode(
                item.channel,
                item.payload,
                generation=item.generation,
                seq=seq,
                pts_ms=item.pts_ms,
                flags=item.flags,
            )
        if item.begins in self.channels:
            self._begin_utterance(item.begins)
        if item.closes is not None:
            self.channels.pop(item.closes).move(ChannelInput.SERVER_CLOSED)
        return numbered(item.text, seq)

    # --- moving to another replica ---

    def texts(self) -> dict[int, str]:
        """Every message of the session that did not leave, or is not acknowledged: by serial number, without its own."""
        kept = {sent.serial: _unnumbered(sent.data) for sent in self.replay if isinstance(sent.data, str)}
        return kept | {item.serial: item.text for item in self.queue.texts()}

    def save(self) -> dict[str, Any]:
        """What became of each of `texts`."""
        return {
            "floor": self.replay.floor,
            "last_seq": self.replay.last_seq,
            "sent": [[sent.serial, sent.seq] for sent in self.replay if sent.serial],
            "queued": [[item.serial, item.closes, item.begins] for item in self.queue.texts()],
        }

    def restore(self, saved: dict[str, Any], texts: dict[int, str], last_seq: int) -> bool:
        """Queue what a client that received everything up to `last_seq` has not got; False when a part of it is gone.

        What had left gets a new number when it leaves again: the frames between were audio, which is made again.
        """
        missed = [(serial, None, None) for serial, seq in saved["sent"] if seq > last_seq]
        items = [*missed, *map(tuple, saved["queued"])]
        known = saved["floor"] <= last_seq <= saved["last_seq"] + MAX_UNSAVED
        if not known or any(serial not in texts for serial, *_ in items):
            return False
        self.replay.floor = self.replay.last_seq = last_seq
        self.queue.number_from(max(texts, default=0))
        for serial, closes, begins in items:
            if begins in self.channels:
                self._begin_utterance(begins)
            self.queue.put_text(QueuedText(texts[serial], closes, begins))
        self._moved = len(missed)
        if missed or last_seq < saved["last_seq"]:
            for channel in self.channels.values():
                channel.sent_pts_ms = -1  # of the frames that left, some did not arrive
        return True

    def _begin_utterance(self, channel: int) -> None:
        self.channels[channel].sent_pts_ms = self.channels[channel].paid_pts_ms = -1
