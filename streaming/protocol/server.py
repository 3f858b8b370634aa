"""The server's side of a session, which outlives its sockets.

Sockets are attached and detached like paths of a QUIC connection. Sequence numbers, send queue, unacknowledged messages, channels and
command ids stay. Everything is synchronous: text and frames go in with `now` (monotonic seconds), events come out, and
`data_to_send` returns what to write. Errors of the caller raise LocalProtocolError. Broken framing raises RemoteProtocolError:
close the socket with its code. All other mistakes of the client are answered by an error message.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Literal

from streaming.protocol import events, frame, messages
from streaming.protocol.channel import PLAYS_AUDIO, ChannelInput, ChannelState, ServerChannel
from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.heartbeat import Heartbeat
from streaming.protocol.inbox import Inbox
from streaming.protocol.limits import Limits
from streaming.protocol.microphone import MicrophoneGate
from streaming.protocol.outbox import Outbox
from streaming.protocol.sendqueue import QueuedAudio
from streaming.protocol.snapshot import Snapshot, dump_channel, load_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from streaming.protocol.channel import InputMark
    from streaming.protocol.events import Event
    from streaming.protocol.messages import Message
    from streaming.protocol.snapshot import Rewind

DEFAULT_LIMITS = Limits()
CORE_MESSAGES = (messages.ChannelOpened, messages.ChannelClosed, messages.Credit)  # sent by the core only
EndStatus = Literal["ok", "cancelled", "error"]
_MARKED: dict[InputMark, Callable[[int], Event]] = {"commit": events.UtteranceCommitted, "end": events.InputEnded}


class ServerConnection:
    """A session. `epoch` names this run of sequence numbers. A connection starts detached.

    Sends return nothing. The events they cause (SlowConsumer, ResumeLost) wait in `take_events`, and are returned with those of
    the next `receive_*` or `handle_timeout`.
    """

    __slots__ = (
        "_beat",
        "_channels",
        "_detached_at",
        "_gate",
        "_in",
        "_limits",
        "_out",
        "_repeating",
        "_was_attached",
        "epoch",
    )

    def __init__(self, epoch: str, now: float, limits: Limits = DEFAULT_LIMITS, *, unix_offset_s: float = 0.0) -> None:
        """`unix_offset_s`: Unix time minus `now`, in seconds, for `pong.server_time`."""
        self.epoch = epoch
        self._limits = limits
        self._channels: dict[int, ServerChannel] = {}
        self._out = Outbox(limits, self._channels)
        self._gate = MicrophoneGate(limits, self._channels, now)
        self._in = Inbox(limits, self._out, self._gate, now, unix_offset_s)
        self._beat = Heartbeat(self._gate, limits.heartbeat_s)
        self._detached_at = now
        self._was_attached = False
        # After a move: per channel, the marks behind frames that the client has yet to send again. The channel keeps them too, as
        # long as it needs those frames, because another move repeats them.
        self._repeating: dict[int, list[tuple[int, InputMark]]] = {}

    # --- a socket comes and goes ---

    @property
    def attached(self) -> bool:
        """True if there is a socket."""
        return self._out.attached

    def attach(self, now: float) -> None:
        """Attach the first socket of a fresh connection; for a used one, call `resume`."""
        if self._was_attached:
            raise LocalProtocolError("this connection was attached before")
        self._was_attached = True
        self._out.attach()
        self._gate.heard_at = now

    def detach(self, now: float) -> None:
        """The socket is gone. Work continues, and its messages wait. Does nothing if there is no socket."""
        if self.attached:
            self._out.detach()
            self._detached_at = now

    def resume(self, last_seq: int, now: float, needed_frames: Mapping[int, int] | None = None) -> bool:
        """Attach a new socket for a client that received everything up to `last_seq`. Detach the old socket first.

        `needed_frames`: by channel, as `needed_frame` of `taken`; the client continues to keep them.
        True: `session.resumed` and everything missed are queued. False: a part is missing or was never sent. Nothing has changed then,
        and the client starts anew on a fresh connection.
        """
        if self.attached:
            raise LocalProtocolError("detach the old socket first")
        needed = needed_frames or {}
        hearing = [channel for channel in self._channels.values() if channel.hears]
        wanted = {
            channel.id: min(channel.next_frame, needed.get(channel.id, channel.next_frame)) for channel in hearing
        }
        if not self._out.resume(last_seq, self.epoch, self._in.taken_seq, wanted):
            return False
        self._gate.heard_at = now
        self._was_attached = True
        self._in.begin_resumed_socket()
        return True

    @property
    def resumable(self) -> bool:
        """True if a client can still resume."""
        return not self._out.lost

    @property
    def overflowed(self) -> bool:
        """True if none can, because more had to wait for the client than is kept."""
        return self._out.overflowed

    # --- receiving ---

    def receive_text(self, text: str, now: float, arrived_at: float | None = None) -> list[Event]:
        """Handle a text message. Raises RemoteProtocolError: close the socket with its code.

        `arrived_at`: when its bytes were read, if that was earlier. Limits are of the rate at which the client sends: a flood must
        not seem slow because it is handled slowly.
        """
        self._require_socket()
        self._gate.heard_at = now
        return self._in.receive(text, now if arrived_at is None else arrived_at) + self.take_events()

    def hear(self, data: bytes, now: float) -> ServerChannel | None:
        """Take the next expected frame: the hot path. Returns its channel, whose `next_frame` is the number after it.

        None: nothing was taken, so call `receive_binary`.
        """
        return None if self._repeating else self._gate.admit(data, now)

    def hear_pong(self, text: str, now: float) -> bool:
        """Take the answer to the heartbeat's ping, which needs nothing more. False: nothing was taken, so call `receive_text`."""
        return self.attached and self._beat.answered(text, now)

    def heard(self, now: float) -> None:
        """Something came that is no message, or only a part of one: a sign of life."""
        self._gate.heard_at = now

    def receive_binary(self, data: bytes, now: float) -> list[Event]:
        """Handle a binary message. Raises RemoteProtocolError like `receive_text`."""
        event = self._gate.receive(data, now)
        if event is not None:
            return [event, *self._marks_behind(event.channel)] if event.channel in self._repeating else [event]
        self._require_socket()
        return self._in.receive_odd_frame(data, now) + self.take_events()

    def _marks_behind(self, channel: int) -> list[Event]:
        """The events behind the frames that the client has sent again by now."""
        state, waiting = self._channels[channel], self._repeating[channel]
        due = [what for frame_number, what in waiting if frame_number <= state.next_frame]
        del waiting[: len(due)]
        if not waiting:
            del self._repeating[channel]
        if "end" in due:
            state.move(ChannelInput.CLIENT_END)
        return [_MARKED[what](channel) for what in due]

    def taken(self, channel: int, n_bytes: int, needed_frame: int | None = None) -> None:
        """Audio of a channel was passed to its service; the credit goes back to the client in portions.

        `needed_frame`: frames from here on may have to be sent again to another replica; None: what was taken is not needed.
        """
        grant = self.count_taken(channel, n_bytes)
        if grant:
            self.give_back(channel, grant, needed_frame)

    def count_taken(self, channel: int, n_bytes: int) -> int:
        """The first half of `taken`, per frame. Returns the credit to pass to `give_back`, mostly 0."""
        state = self._channels.get(channel)
        return state.receive_window.take(n_bytes) if state is not None else 0  # None: the channel was closed meanwhile

    def grant_due_bytes(self, channel: int) -> int:
        """Before so much more was taken, `count_taken` returns 0: what is less may be counted later, together."""
        state = self._channels.get(channel)
        return state.receive_window.grant_due_bytes if state is not None else 1

    def give_back(self, channel: int, grant: int, needed_frame: int | None) -> None:
        """The second half of `taken`, once per many frames."""
        state = self._channels[channel]
        if state.state is ChannelState.OPEN:
            needed_frame = state.next_frame if needed_frame is None else min(needed_frame, state.next_frame)
            state.forget_marks(needed_frame)
            self._out.put(messages.Credit(channel=channel, bytes=grant, next_frame=needed_frame), channel)

    # --- sending ---

    def send_message(self, message: Message) -> None:
        """Queue an event of the session, or a message of the socket, which is dropped if none is attached.

        A `Result`, or an `Error` with an `id`, is kept as the answer to that command. An `Error` names its channel only while it is
        open. Anything else on a closed channel raises LocalProtocolError, as do messages that only the core sends.
        """
        if isinstance(message, CORE_MESSAGES):
            raise LocalProtocolError(f"{message.type} is sent by the core")
        if not isinstance(message, messages.NumberedEvent):
            self._out.put_for_socket(message)
            return
        # By getattr, because an Error's may be None, which compiled code does not take for a ChannelEvent's. Asked of a message that has
        # none, pydantic takes long to say so.
        channel = getattr(message, "channel", None) if isinstance(message, messages.ChannelEvent) else None
        if isinstance(message, messages.Error) and channel is not None and not self.is_open(channel):
            message, channel = message.model_copy(update={"channel": None}), None
        if channel is not None:
            self._live(channel).move(ChannelInput.SERVER_DATA)
        text = self._out.put(message, channel)
        if isinstance(message, messages.Result | messages.Error) and message.id is not None:
            self._in.answered(message.id, text)

    def send_audio(
        self,
        channel: int,
        payload: bytes,
        generation: int,
        pts_ms: int,
        *,
        last: bool = False,
        lost: bool = False,
    ) -> None:
        """Queue a frame. Audio of a stale generation is dropped. Raises LocalProtocolError like `send_message`."""
        state = self._live(channel)
        state.move(ChannelInput.SERVER_DATA)
        if state.params.kind not in PLAYS_AUDIO or generation > state.generation:
            raise LocalProtocolError(f"channel {channel}: no audio of generation {generation}")
        if generation < state.generation or state.state is ChannelState.CANCELLED:
            self._out.audio_bytes_dropped += len(payload)
            return
        flags = (frame.LAST if last else 0) | (frame.LOST if lost else 0)
        self._out.put_audio(QueuedAudio(channel, payload, generation, pts_ms, flags))

    def want_receipt(self, channel: int, pts_ms: int) -> None:
        """Learn by `SpeechArrived` when the client has received the channel's audio up to `pts_ms`, all of which was queued before.

        The client's acknowledgements tell, or a ping behind the audio. Audio that is dropped withdraws the wish.
        """
        self._out.want_receipt(channel, pts_ms)

    def audio_at_once(self, channel: int, payload: bytes, generation: int, pts_ms: int, now: float) -> bytes | None:
        """Like `send_audio` if nothing has to be sent before this frame: returns the bytes to write. Otherwise None: call `send_audio`."""
        state = self._channels.get(channel)
        if state is None or generation != state.generation or not state.plays:
            return None
        return self._out.audio_at_once(state, payload, pts_ms, now)

    def ping_at_once(self, now: float) -> str | None:
        """The heartbeat's ping, to be written now, if it is due and nothing has to be sent before it. None: nothing was done.

        What else may be due is left to `handle_timeout`.
        """
        return self._beat.ping(now) if self._out.quiet else None

    def interrupt(self, channel: int) -> int:
        """Make all previous audio stale, drop what is queued of it, and return the new generation."""
        state = self._live(channel)
        state.move(ChannelInput.SERVER_DATA)
        state.generation += 1
        self._out.drop_audio(channel)
        return state.generation

    def close_channel(
        self, channel: int, status: EndStatus = "ok", code: str | None = None, message: str | None = None
    ) -> None:
        """Queue `channel.closed`, the channel's last message: after its audio if the status is ok, else at once."""
        state = self._live(channel)
        cancelled = state.state is ChannelState.CANCELLED
        state.move(ChannelInput.SERVER_CLOSE)
        if status != "ok" or cancelled:
            self._out.drop_audio(channel)
        closed = messages.ChannelClosed(channel=channel, status=status, code=code, message=message)
        self._out.put(closed, channel, closes=channel)

    def is_open(self, channel: int) -> bool:
        """True if something may still be sent on the channel."""
        state = self._channels.get(channel)
        return state is not None and state.state is not ChannelState.CLOSING

    def generation(self, channel: int) -> int:
        """The generation of audio sent now. Raises LocalProtocolError if the channel is closed."""
        return self._live(channel).generation

    def sendable_bytes(self, channel: int) -> int:
        """Payload bytes that the client's credit still allows; 0 if it must wait or the channel is closed."""
        state = self._channels.get(channel)
        if state is None:
            return 0
        return max(0, state.send_window.available - self._out.queue.audio_bytes(channel))

    def is_paid(self, channel: int, pts_ms: int) -> bool:
        """True if another replica already sent a frame at this position. It then costs no credit."""
        state = self._channels.get(channel)
        return state is not None and pts_ms <= state.paid_pts_ms

    def microphone_format(self, channel: int) -> tuple[str, int] | None:
        """Encoding and rate in Hz of the client's audio; None if it sends none on this channel."""
        state = self._channels.get(channel)
        if state is None or not isinstance(state.params, messages.SttParams | messages.TurnParams):
            return None
        return state.params.encoding, state.params.sample_rate

    @property
    def has_data(self) -> bool:
        """True if `data_to_send` has something to do: it may also return nothing, and set a deadline."""
        return self._out.has_data

    def data_to_send(self, now: float, max_bytes: int = 65_536) -> list[str | bytes]:
        """The next messages to send, text and binary in order; slightly more than `max_bytes` at most. Empty while detached."""
        return self._out.data_to_send(now, max_bytes)

    def take_events(self) -> list[Event]:
        """Take the events that sends have caused since the last call."""
        if not self._out.events:
            return []
        taken = self._out.events[:]
        self._out.events.clear()
        return taken

    # --- time ---

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is due, in monotonic seconds; None if never."""
        out = self._out
        held, first = out.unacknowledged.next_expiry, None
        if out.attached:
            first, other = self._beat.deadline, out.hold_ends_at
            first = other if first is None or (other is not None and other < first) else first
        elif not out.lost:
            first = self._detached_at + self._limits.resume_window_s
        return held if first is None or (held is not None and held < first) else first

    def handle_timeout(self, now: float) -> list[Event]:
        """Drop what is too old, ping a silent client, and give up a lost one."""
        self._out.unacknowledged.expire(now)
        self._out.end_hold(now)
        if self.attached:
            self._beat.look(now, self._out)
        elif self.resumable and now >= self._detached_at + self._limits.resume_window_s:
            self._out.lose("the client did not come back in time")
        return self.take_events()

    # --- figures ---

    @property
    def last_seq(self) -> int:
        """The number of the newest message sent."""
        return self._out.unacknowledged.last_seq

    @property
    def queue_bytes(self) -> int:
        """Bytes waiting to be sent."""
        return self._out.queue.bytes

    @property
    def unacknowledged_bytes(self) -> int:
        """Bytes sent but not acknowledged."""
        return self._out.unacknowledged.bytes

    @property
    def merged_messages(self) -> int:
        """Number of progress messages merged into others."""
        return self._out.queue.merged_messages

    @property
    def audio_bytes_dropped(self) -> int:
        """Payload bytes that were queued but became stale before they were sent."""
        return self._out.audio_bytes_dropped

    def channels_by_kind(self) -> Counter[str]:
        """Number of open channels by kind."""
        return Counter(channel.params.kind for channel in self._channels.values())

    # --- moving to another replica ---

    def save(self, rewinds: Mapping[int, Rewind], commands_version: int = -1) -> Snapshot:
        """Everything that another replica needs. `rewinds`: channels whose microphone would have to be sent again.

        `commands` is left out if its version is still `commands_version`.
        """
        core = {
            "epoch": self.epoch,
            "channels": [dump_channel(channel, rewinds.get(channel.id)) for channel in self._channels.values()],
            **self._out.save(),
            **self._in.save(),
        }
        memory = self._in.memory
        commands = [] if memory.version == commands_version else memory.save()
        return Snapshot(core, commands, memory.version, self._out.texts())

    @classmethod
    def restore(
        cls,
        snapshot: Snapshot,
        last_seq: int,
        now: float,
        limits: Limits = DEFAULT_LIMITS,
        *,
        unix_offset_s: float = 0.0,
    ) -> ServerConnection | None:
        """A detached connection that continues after `last_seq`; None if a part of what the client missed is gone."""
        core = snapshot.core
        connection = cls(core["epoch"], now, limits, unix_offset_s=unix_offset_s)
        for entry in core["channels"]:
            connection._channels[entry["id"]] = load_channel(entry)
        if not connection._out.restore(core, snapshot.texts, last_seq):
            return None
        connection._in.restore(core, snapshot.commands)
        connection._was_attached = True
        connection._restore_microphones()
        return connection

    def _restore_microphones(self) -> None:
        for channel in self._channels.values():
            waiting = [mark for mark in channel.marks if mark[0] > channel.next_frame]
            if waiting:
                self._repeating[channel.id] = waiting
            self.taken(channel.id, 0, channel.next_frame)

    def open_channels(self) -> list[ServerChannel]:
        """Channels on which something may still be sent."""
        return [channel for channel in self._channels.values() if channel.state is not ChannelState.CLOSING]

    def unanswered(self) -> list[str]:
        """Ids of `call` and `task.confirm` commands not yet answered."""
        return self._in.memory.unanswered()

    # --- checks ---

    def _live(self, channel: int) -> ServerChannel:
        state = self._channels.get(channel)
        if state is None:
            raise LocalProtocolError(f"channel {channel} is not open")
        return state

    def _require_socket(self) -> None:
        if not self.attached:
            raise LocalProtocolError("no socket is attached")
