"""The server's sending half: queue, numbers, unacknowledged messages. A message gets its number when it is sent, and is kept until acknowledged."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from streaming.protocol import frame
from streaming.protocol.channel import ChannelInput
from streaming.protocol.events import ResumeLost, SlowConsumer
from streaming.protocol.messages import SessionResumed
from streaming.protocol.receipts import Receipts
from streaming.protocol.sendqueue import QueuedAudio, QueuedText, SendQueue, serialise
from streaming.protocol.unacknowledged import UnacknowledgedBuffer

if TYPE_CHECKING:
    from streaming.protocol.channel import ServerChannel
    from streaming.protocol.events import Event
    from streaming.protocol.limits import Limits
    from streaming.protocol.messages import Message
    from streaming.protocol.unacknowledged import Sent

# Frames that may have been sent since the last save: many minutes.
MAX_UNSAVED = 65_536
HOLD_S = 10.0  # the longest hold: a client that reads acknowledges every second


def numbered(text: str, seq: int) -> str:
    """The serialised object with its `seq` as the last field."""
    return f'{text[:-1]},"seq":{seq}}}'


def _unnumbered(text: str) -> str:
    return text[: text.rindex(',"seq":')] + "}"


class Outbox:
    """The sending half. `lost`: resuming is no longer possible, and all input is dropped; `overflowed`: because too much waited.

    The owner empties `events`.
    """

    __slots__ = (
        "_acknowledged_seq",
        "_acknowledges",
        "_held_since",
        "_kept_bytes",
        "_least_bytes",
        "_limits",
        "_moved",
        "_receipts",
        "_resending",
        "_slow_told",
        "_socket",
        "attached",
        "audio_bytes_dropped",
        "channels",
        "events",
        "lost",
        "overflowed",
        "queue",
        "unacknowledged",
    )

    def __init__(self, limits: Limits, channels: dict[int, ServerChannel]) -> None:
        self._limits = limits
        self.channels = channels
        self._receipts = Receipts(channels)
        self.queue = SendQueue(limits.merged_progress_bytes)
        self.unacknowledged = UnacknowledgedBuffer(limits.replay_bytes, limits.replay_s)
        self.events: list[Event] = []
        self.attached = False
        self.lost = self.overflowed = False
        self.audio_bytes_dropped = 0
        self._slow_told = False
        self._kept_bytes = limits.detached_queue_bytes  # the most that the queue may have without a socket
        self._least_bytes = 0  # the queue's least since the socket came: what was kept for it, until it takes that
        self._acknowledges = False  # a client that never acknowledges nor resumes is not held back
        self._acknowledged_seq = 0  # the highest number that the client has told us of
        self._held_since: float | None = None
        self._moved = 0  # sent by another replica, but not received
        self._socket: list[str] = []  # messages of the socket, sent first and without number
        self._resending: list[str | bytes] = []  # the next one last

    # --- a socket comes and goes ---

    def attach(self) -> None:
        """A socket is ready for writing."""
        self.attached = True
        self._slow_told, self._least_bytes = False, self.queue.bytes

    def detach(self) -> None:
        """The socket is gone, and with it the messages of the socket."""
        self.attached = False
        self._held_since = None
        self._socket.clear()
        self._resending.clear()
        self._receipts.forget_question()
        self._keep_what_waits()
        self._check_size()

    def _keep_what_waits(self) -> None:
        """What a client has been told to fetch is kept, with room for more, however much was kept for it before."""
        limits = self._limits
        wanted_bytes = max(limits.detached_queue_bytes, self.queue.bytes + limits.queue_bytes)
        self._kept_bytes = min(wanted_bytes, limits.most_queue_bytes)

    def resume(self, last_seq: int, epoch: str, taken_seq: int, next_frames: dict[int, int]) -> bool:
        """Queue everything after `last_seq` again, behind `session.resumed`. False if a part is missing."""
        missed = None if self.lost else self.unacknowledged.since(last_seq)
        if missed is None:
            return False
        self._forget(last_seq)
        self._acknowledges, self._acknowledged_seq = True, last_seq  # who resumes has kept count
        self.attach()
        self.put_for_socket(
            SessionResumed(epoch=epoch, replayed=len(missed) + self._moved, taken_seq=taken_seq, channels=next_frames)
        )
        self._moved = 0
        self._resending = [sent.data for sent in reversed(missed)]
        return True

    # --- in ---

    def put_for_socket(self, message: Message) -> None:
        """Queue a message of the socket; dropped if there is no socket."""
        if self.attached:
            self.put_text_for_socket(serialise(message))

    def put_text_for_socket(self, text: str) -> None:
        """Queue a serialised message of the socket that is attached."""
        self._socket.append(text)

    def put(self, message: Message, channel: int | None = None, closes: int | None = None) -> str:
        """Queue a message of the session; returns its text."""
        text = self.queue.put(message, channel, closes)
        self._check_size()
        return text

    def put_again(self, text: str) -> None:
        """Queue an earlier answer again."""
        self.queue.put_text(QueuedText(text))
        self._check_size()

    def put_audio(self, item: QueuedAudio) -> None:
        """Queue a frame."""
        self.queue.put_audio(item)
        self._check_size()

    def audio_at_once(self, channel: ServerChannel, payload: bytes, pts_ms: int, now: float) -> bytes | None:
        """A frame to be written now, numbered and kept, if nothing is to be sent before it: the hot path.

        None: nothing was done. Queue it.
        """
        window, n_bytes, kept = channel.send_window, len(payload), self.unacknowledged
        waits = self.queue.bytes or self._socket or self._resending
        if waits or n_bytes > window.available or pts_ms <= channel.paid_pts_ms or not self.attached:
            return None
        if self._acknowledges and kept.bytes * 2 >= self._limits.replay_bytes:  # `_full`, without a call
            return None
        seq = kept.last_seq + 1
        message = frame.encode(channel.id, payload, generation=channel.generation, seq=seq, pts_ms=pts_ms)
        window.available -= n_bytes
        channel.sent_pts_ms, channel.sent_seq = pts_ms, seq
        kept.push(message, len(message), now)
        return message

    def drop_audio(self, channel: int) -> None:
        """Drop a channel's queued audio: its utterance is over."""
        self.channels[channel].end_utterance()
        self._receipts.withdraw(channel)
        self.audio_bytes_dropped += self.queue.drop_audio(channel)

    def _check_size(self) -> None:
        if self.lost:
            self.queue.clear()
        elif self.attached and self.queue.bytes > self._slow_bytes and not self._slow_told:
            self._slow_told = True
            self.events.append(SlowConsumer(self.queue.bytes))
        elif not self.attached and self.queue.bytes > self._kept_bytes:
            self.overflowed = True
            self.lose("more had to wait for the client than is kept")

    @property
    def _slow_bytes(self) -> int:
        """With more in the queue, the client is slow. What was kept for it is not held against it until it has taken that."""
        return min(self._least_bytes + self._limits.queue_bytes, self._limits.most_queue_bytes)

    def lose(self, reason: str) -> None:
        """Drop everything kept; a client that reconnects starts anew."""
        self.lost = True
        self.queue.clear()
        self.unacknowledged.clear()
        self.events.append(ResumeLost(reason))

    # --- out ---

    def acknowledge(self, seq: int) -> None:
        """The client has received everything up to `seq`. What it has told before begins no other hold."""
        self._forget(seq)
        if seq > self._acknowledged_seq:
            self._acknowledged_seq = seq
            self._acknowledges, self._held_since = True, None

    def _forget(self, seq: int) -> None:
        """The client has received everything up to `seq`: do not keep it any longer."""
        newest = self.unacknowledged.acknowledge(seq)
        if newest is not None:
            self._note_arrived(newest)
        self.events += self._receipts.confirm(seq)

    def _note_arrived(self, sent: Sent) -> None:
        assert isinstance(sent.data, bytes), "the buffer has looked"
        received = frame.decode(sent.data)
        channel = self.channels.get(received.channel)
        if channel is not None and sent.seq > channel.begun_seq:
            channel.had_pts_ms = received.pts_ms

    def want_receipt(self, channel: int, pts_ms: int) -> None:
        """Tell by an event when the client has the channel's audio up to this position, which was queued before."""
        self.events += self._receipts.want(channel, pts_ms)

    def ponged(self, t: float) -> None:
        """The client has answered a ping."""
        self.events += self._receipts.answered(t)

    @property
    def _full(self) -> bool:
        """True if more could evict what the client has not received: the buffer of that is half full, or the next item does not fit in."""
        kept_bytes, most_bytes = self.unacknowledged.bytes, self._limits.replay_bytes
        if not self._acknowledges or not kept_bytes:
            return False
        return kept_bytes * 2 >= most_bytes or kept_bytes + self.queue.next_bytes(self.channels) > most_bytes

    @property
    def hold_ends_at(self) -> float | None:
        """When sending continues without an acknowledgement."""
        return None if self._held_since is None else self._held_since + HOLD_S

    def end_hold(self, now: float) -> None:
        """Treat a client that stopped acknowledging like one that never did."""
        if self.hold_ends_at is not None and now >= self.hold_ends_at:
            self._acknowledges, self._held_since = False, None

    @property
    def quiet(self) -> bool:
        """True if there is a socket and nothing waits for it."""
        return self.attached and not (self.queue.bytes or self._socket or self._resending)

    @property
    def has_data(self) -> bool:
        """True if `data_to_send` has something to return, or a hold to begin: audio sent past the queue may have filled the buffer."""
        if not self.attached:
            return False
        if self._socket or self._resending:
            return True
        if (self._held_since is None or not self._full) and self.queue.sendable(self.channels):
            return True
        return self._receipts.due

    def data_to_send(self, now: float, max_bytes: int) -> list[str | bytes]:
        """The next messages to send, until they exceed `max_bytes`. Little at a time, so that control can overtake media."""
        if not self.attached:
            return []
        data: list[str | bytes] = list(self._socket)
        self._socket.clear()
        size = 0
        while size < max_bytes and self._resending:
            data.append(self._resending.pop())
            size += len(data[-1])
        while size < max_bytes and not self._full and (item := self.queue.pop(self.channels)) is not None:
            message = self._leave(item)
            self.unacknowledged.push(message, item.size, now, 0 if isinstance(item, QueuedAudio) else item.serial)
            data.append(message)
            size += item.size
        if not self._full:
            self._held_since = None
        elif self._held_since is None and self.queue.sendable(self.channels):
            self._held_since = now
        self._least_bytes = min(self._least_bytes, self.queue.bytes)
        if self._receipts.due and not self._resending:
            data.append(serialise(self._receipts.ask(self.unacknowledged.last_seq)))
        return data

    def _leave(self, item: QueuedText | QueuedAudio) -> str | bytes:
        seq = self.unacknowledged.last_seq + 1
        if isinstance(item, QueuedAudio):
            channel = self.channels[item.channel]
            channel.sent_pts_ms, channel.sent_seq = item.pts_ms, seq
            if item.flags & frame.LAST:
                channel.end_utterance()
            return frame.encode(
                item.channel,
                item.payload,
                generation=item.generation,
                seq=seq,
                pts_ms=item.pts_ms,
                flags=item.flags,
            )
        if item.begins in self.channels:
            self.channels[item.begins].begin_utterance(seq)
        if item.closes is not None:
            self.channels.pop(item.closes).move(ChannelInput.SERVER_CLOSED)
        return numbered(item.text, seq)

    # --- moving to another replica ---

    def texts(self) -> dict[int, str]:
        """Every message of the session not sent or not acknowledged, unnumbered, by serial number."""
        kept = {sent.serial: _unnumbered(sent.data) for sent in self.unacknowledged if isinstance(sent.data, str)}
        return kept | {item.serial: item.text for item in self.queue.texts()}

    def save(self) -> dict[str, Any]:
        """The state of each of `texts`."""
        return {
            "floor": self.unacknowledged.floor,
            "last_seq": self.unacknowledged.last_seq,
            "sounds": any(channel.sounds for channel in self.channels.values()),
            "sent": [[sent.serial, sent.seq] for sent in self.unacknowledged if sent.serial],
            "queued": [[item.serial, item.closes, item.begins] for item in self.queue.texts()],
        }

    def restore(self, saved: dict[str, Any], texts: dict[int, str], last_seq: int) -> bool:
        """Queue what the client, having received everything up to `last_seq`, has not got. False if a part of it is missing.

        Texts are saved before they are sent, so what was sent later can only be frames, and those only while something sounds.
        Messages sent before get new numbers, because the frames between them were audio, which is synthesised again.
        """
        missed = [(serial, None, None) for serial, seq in saved["sent"] if seq > last_seq]
        items = [*missed, *map(tuple, saved["queued"])]
        unsaved = MAX_UNSAVED if saved.get("sounds", True) else 0  # 0.1.0 did not save it
        known = saved["floor"] <= last_seq <= saved["last_seq"] + unsaved
        if not known or any(serial not in texts for serial, *_ in items):
            return False
        self.unacknowledged.floor = self.unacknowledged.last_seq = last_seq
        self.queue.number_from(max(texts, default=0))
        for serial, closes, begins in items:
            if begins in self.channels:
                self.channels[begins].begin_utterance(last_seq)
            self.queue.put_text(QueuedText(texts[serial], closes, begins))
        self._moved = len(missed)
        self._acknowledges, self._acknowledged_seq = True, last_seq  # who resumes has kept count
        self._keep_what_waits()
        self._receipts.confirm(last_seq)
        for channel in self.channels.values():
            if missed or last_seq < saved["last_seq"]:
                channel.sent_pts_ms = channel.had_pts_ms  # some of the frames sent since did not arrive
            else:
                channel.had_pts_ms = channel.sent_pts_ms
        return True
