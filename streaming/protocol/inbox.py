"""The server's receiving half: turns text messages, and frames that the hot path refused, into events or error answers."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from streaming.protocol import events, frame, messages
from streaming.protocol.channel import PLAYS_AUDIO, ChannelInput, ChannelState, ServerChannel
from streaming.protocol.close_codes import CloseCode
from streaming.protocol.errors import ERROR_CODES, RemoteProtocolError
from streaming.protocol.inbound import Refusal, n_commas, parse, validate
from streaming.protocol.recall import CommandMemory, SeenCommand, digest
from streaming.protocol.window import ReceiveWindow
from streaming.rate import TokenBucket

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.protocol.events import Event
    from streaming.protocol.inbound import Parsed
    from streaming.protocol.limits import Limits
    from streaming.protocol.messages import OpenCommand
    from streaming.protocol.microphone import MicrophoneGate
    from streaming.protocol.outbox import Outbox

MAX_ERROR_CHARS = 300  # field names in it come from the client, and may be long
# These start no work, and without them a session could stall or not stop. They count towards the rate but are never refused.
NEVER_REFUSED = frozenset({"ack", "credit", "playback", "ping", "pong", "channel.end", "channel.cancel"})
UNIT_VALUES = 64  # a reader spends more on values than on plain text
STARTS_WORK = frozenset({"call", "task.confirm", "auth.refresh", "session.resume"})  # each starts a task

# The reports of a listener: several a second, as all clients of ours spell them. Any other spelling is read in the general way. No
# number here can be beyond its field's limit.
_REPORT = re.compile(
    r'\{"type": ?"(ack|credit|playback)"(?:, ?"seq": ?([1-9][0-9]{0,14}))?'
    r'(?:, ?"channel": ?([1-9][0-9]{0,3}), ?"(bytes|played_ms)": ?(0|[1-9][0-9]{0,8})'
    r'(?:, ?"generation": ?(0|[1-9][0-9]{0,8}))?(?:, ?"seq": ?([1-9][0-9]{0,14}))?)?\}'
)


class _Answered(Protocol):
    """What an error answers: a command, or what could be read of one."""

    @property
    def id(self) -> str | None: ...


class Inbox:
    """The receiving half. `taken_seq`: the highest command number taken, whatever the result."""

    __slots__ = (
        "_acknowledged_seq",
        "_first",
        "_gate",
        "_limits",
        "_memory",
        "_out",
        "_patience",
        "_rate",
        "_running",
        "_unix_offset_s",
        "_used",
        "taken_seq",
    )

    def __init__(self, limits: Limits, out: Outbox, gate: MicrophoneGate, now: float, unix_offset_s: float) -> None:
        self._limits = limits
        self._out = out
        self._gate = gate
        self._unix_offset_s = unix_offset_s
        self._rate = TokenBucket(limits.commands_per_s, limits.command_burst, now)
        self._patience = TokenBucket(1.0, limits.refusals, now)
        self._memory = CommandMemory(limits.remembered_commands, limits.remembered_answer_bytes)
        self._running: set[str] = set()  # ids of calls not yet answered
        self._first = True  # True until the first message of a fresh connection
        self._used = 0  # channel numbers used in this epoch, one bit each: at most 8 KiB
        self.taken_seq = 0
        self._acknowledged_seq = 0

    def begin_resumed_socket(self) -> None:
        """A socket was resumed; `session.resumed` tells the client what was taken."""
        self._first = False
        self._acknowledged_seq = self.taken_seq

    # --- text ---

    def receive(self, text: str, now: float) -> list[Event]:
        """Handle a text message. Raises RemoteProtocolError."""
        report = _REPORT.fullmatch(text)
        if report is not None and (taken := self._take_report(report, now)) is not None:
            return taken
        parsed = parse(text, self._limits)
        if self._came_before(parsed):
            return []
        first, self._first = self._first, False
        units = self._units(text)
        price = self._price(parsed.type, units)
        too_fast = not self._rate.take(price, now)
        if too_fast:
            self._lose_patience(now, self._price("", units))
        if parsed.number is not None:  # not before: a command for which the socket is closed was not taken
            self._count(parsed.number)
        if too_fast and parsed.type not in NEVER_REFUSED:
            return self._refuse(parsed, "RATE_LIMITED", "too many messages", round(self._rate.wait_s(price) * 1000))
        message = validate(parsed)
        if isinstance(message, Refusal):
            if first and parsed.type == "session.resume":
                return [events.ResumeRefused(parsed.id, message.code, message.message[:MAX_ERROR_CHARS])]
            return self._refuse(parsed, message.code, message.message)
        if isinstance(message, messages.SessionResume) and first:
            return [events.ResumeRequested(message.resume_token, message.last_seq)]
        return self._HANDLERS[type(message)](self, message, now)

    def _take_report(self, report: re.Match[str], now: float) -> list[Event] | None:
        """Take a report as `receive` would, in a third of the time. None: nothing was done, because it is not as usual."""
        kind, seq, number, what, amount, generation, seq_behind = report.groups()
        limits, out = self._limits, self._out
        if self._first or len(report.string) >= min(limits.text_unit_bytes, limits.text_bytes):
            return None
        if kind == "ack":
            if what or not seq or int(seq) > out.unacknowledged.last_seq:
                return None
            self._pay_for_report(now)
            out.acknowledge(int(seq))
            return []
        channel = out.channels.get(int(number or 0))
        command = int(seq or seq_behind or 0)
        if channel is None or (seq and seq_behind) or (command and command != self.taken_seq + 1):
            return None
        grants, plays = what == "bytes", what == "played_ms" and channel.params.kind in PLAYS_AUDIO
        if not (grants and amount != "0" and not generation if kind == "credit" else plays):
            return None
        self._pay_for_report(now)
        if command:
            self._count(command)
        if grants:
            return self._grant(channel, int(amount))
        return self._played(channel, int(amount), None if generation is None else int(generation))

    def _pay_for_report(self, now: float) -> None:
        if not self._rate.take(min(self._limits.command_burst, 1.0), now):
            self._lose_patience(now)

    def _came_before(self, parsed: Parsed) -> bool:
        """True if a numbered command was already taken, over an earlier socket."""
        number = parsed.number
        if number is None or number == self.taken_seq + 1:
            return False
        if number > self.taken_seq:
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, f"command {number} came after {self.taken_seq}")
        return True

    def _count(self, number: int) -> None:
        self.taken_seq = number
        if number - self._acknowledged_seq >= self._limits.acknowledge_every:
            self._acknowledged_seq = number
            self._out.put_for_socket(messages.ServerAck(seq=number))

    def _units(self, text: str) -> int:
        """What a message counts for its length and its values."""
        return len(text) // self._limits.text_unit_bytes + n_commas(text, UNIT_VALUES) // UNIT_VALUES

    def _price(self, kind: str, units: int) -> float:
        """What a message counts against the rate; never more than a whole burst."""
        limits = self._limits
        work = limits.open_price if kind == "channel.open" else limits.work_price if kind in STARTS_WORK else 1.0
        return min(limits.command_burst, work + units)

    def _lose_patience(self, now: float, price: float = 1.0) -> None:
        if not self._patience.take(price, now):
            raise RemoteProtocolError(
                CloseCode.TOO_MANY_MESSAGES, "too many messages, although earlier ones were refused"
            )

    def _refuse(
        self, sent: _Answered | None, code: str, message: str, retry_after_ms: int | None = None
    ) -> list[Event]:
        """Answer with an error; None: a frame. It names only an open channel, because `channel.closed` is a channel's last message."""
        channel = getattr(sent, "channel", None)
        error = messages.Error(
            id=sent.id if sent is not None else None,
            channel=channel if channel in self._out.channels else None,
            code=code,
            message=message[:MAX_ERROR_CHARS],
            retryable=ERROR_CODES[code].retryable,
            retry_after_ms=retry_after_ms,
        )
        self._out.put(error)
        return [events.CommandRefused(code)]

    # --- commands of the socket ---

    def _on_resume(self, message: messages.SessionResume, _now: float) -> list[Event]:
        return self._refuse(message, "WRONG_STATE", "`session.resume` is the first message of a socket")

    def _on_auth(self, message: messages.Auth, _now: float) -> list[Event]:
        return self._refuse(message, "WRONG_STATE", "authenticated already; a new token is for `auth.refresh`")

    def _on_auth_refresh(self, message: messages.AuthRefresh, _now: float) -> list[Event]:
        return [events.AuthRefreshReceived(message.token, message.id)]

    def _on_ack(self, message: messages.Ack, _now: float) -> list[Event]:
        if message.seq > self._out.unacknowledged.last_seq:
            return self._refuse(message, "INVALID_FIELD", f"seq: {message.seq} was never sent")
        self._out.acknowledge(message.seq)
        return []

    def _on_ping(self, message: messages.Ping, now: float) -> list[Event]:
        server_time = max(0, round((now + self._unix_offset_s) * 1000))
        self._out.put_for_socket(messages.ServerPong(t=message.t, server_time=server_time))
        return []

    def _on_pong(self, message: messages.Pong, _now: float) -> list[Event]:
        self._out.ponged(message.t)
        return [events.Ponged(message.t)]

    # --- commands of the session ---

    def answered(self, command_id: str, text: str) -> None:
        """Remember the owner's answer to a command."""
        self._running.discard(command_id)
        self._memory.answer(command_id, text)

    def _on_call(self, message: messages.Call, _now: float) -> list[Event]:
        command = SeenCommand("call", request=digest(message.op, message.params))
        seen = self._memory.get(message.id)
        if seen is not None:
            return self._repeat(message, seen, command)
        if len(self._running) >= self._limits.running_calls:
            return self._refuse(message, "TOO_MANY_CALLS", f"{self._limits.running_calls} calls run")
        self._running.add(message.id)
        self._memory.remember(message.id, command)
        return [events.CallReceived(message.id, message.op, message.params)]

    def _on_confirm(self, message: messages.TaskConfirm, _now: float) -> list[Event]:
        if message.id is not None:
            command = SeenCommand("task.confirm", request=digest(message.confirmation_id, message.approve))
            seen = self._memory.get(message.id)
            if seen is not None:
                return self._repeat(message, seen, command)
            self._memory.remember(message.id, command)
        return [
            events.ConfirmationReceived(
                message.confirmation_id, message.approve, message.id, message.channel, message.action_hash
            )
        ]

    def _repeat(
        self, message: messages.Call | messages.TaskConfirm, seen: SeenCommand, command: SeenCommand
    ) -> list[Event]:
        assert message.id is not None, "only commands with an id are remembered"
        if seen.what != command.what or seen.request not in {0, command.request}:  # 0: in a record of an older gateway
            return self._refuse(message, "ID_REUSED", f"that id belongs to an earlier {seen.what}")
        if seen.answer is not None:
            self._out.put_again(seen.answer)
        elif seen.answered:
            return self._refuse(message, "ALREADY_ANSWERED", "it ran, and its answer is no longer kept")
        return [events.CommandRepeated(message.id)]

    def _on_open(self, message: OpenCommand, now: float) -> list[Event]:
        seen = self._memory.get(message.id) if message.id is not None else None
        if seen is not None:
            return self._reopen(message, seen)
        if message.channel % 2 == 0:
            return self._refuse(message, "INVALID_FIELD", "channel: a client's channels have odd numbers")
        if self._was_used(message.channel):
            return self._refuse(message, "CHANNEL_IN_USE", f"channel {message.channel} was used before")
        if len(self._out.channels) >= self._limits.channels:
            return self._refuse(message, "TOO_MANY_CHANNELS", f"{self._limits.channels} channels are open")
        return [self._open(message, early=now % 1)]

    def _open(self, message: OpenCommand, early: float) -> Event:
        """`early`: see ReceiveWindow. Channels are opened at any part of a second."""
        self._used |= 1 << message.channel
        channel = ServerChannel(
            message.channel, message.params, message.credit, self._limits.microphone_window_bytes, message.id
        )
        channel.receive_window = ReceiveWindow(channel.receive_window.size if channel.hears else 0, early)
        self._out.channels[channel.id] = channel
        if message.id is not None:
            self._memory.remember(message.id, SeenCommand(f"channel.open {message.kind}", channel.id))
        self._tell_opened(channel)
        return events.ChannelAccepted(channel.id, message.params, message.id)

    def _reopen(self, message: OpenCommand, seen: SeenCommand) -> list[Event]:
        assert message.id is not None, "only commands with an id are remembered"
        if (seen.what, seen.channel) != (f"channel.open {message.kind}", message.channel):
            return self._refuse(message, "ID_REUSED", f"that id belongs to an earlier {seen.what}")
        channel = self._out.channels.get(message.channel)
        if channel is None or channel.state is ChannelState.CLOSING:
            return self._refuse(message, "ALREADY_ANSWERED", f"channel {message.channel} is closed")
        if channel.params != message.params:
            return self._refuse(message, "ID_REUSED", f"that id belongs to an earlier {seen.what}")
        self._tell_opened(channel)
        return [events.CommandRepeated(message.id)]

    def _tell_opened(self, channel: ServerChannel) -> None:
        opened = messages.ChannelOpened(
            channel=channel.id, id=channel.open_id, kind=channel.params.kind, credit=channel.receive_window.size
        )
        self._out.put(opened)

    def _was_used(self, channel: int) -> bool:
        return bool(self._used >> channel & 1)

    # --- commands of a channel ---

    def _on_channel_command(self, message: messages.ChannelCommand, _now: float) -> list[Event]:
        channel = self._out.channels.get(message.channel)
        if channel is not None:
            return self._CHANNEL_HANDLERS[type(message)](self, channel, message)
        if self._was_used(message.channel):
            return []  # it crossed with `channel.closed`
        return self._refuse(message, "UNKNOWN_CHANNEL", f"channel {message.channel} was never opened")

    def _on_credit(self, channel: ServerChannel, message: messages.CreditGrant) -> list[Event]:
        return self._grant(channel, message.bytes)

    def _grant(self, channel: ServerChannel, n_bytes: int) -> list[Event]:
        channel.send_window.grant(n_bytes)
        return [events.CreditGranted(channel.id, n_bytes)]

    def _on_end(self, channel: ServerChannel, _message: messages.ChannelEnd) -> list[Event]:
        was_open = channel.state is ChannelState.OPEN
        channel.move(ChannelInput.CLIENT_END)
        if was_open and channel.hears:
            channel.mark("end")
        return [events.InputEnded(channel.id)] if was_open else []

    def _on_cancel(self, channel: ServerChannel, _message: messages.ChannelCancel) -> list[Event]:
        was_running = channel.state in {ChannelState.OPEN, ChannelState.INPUT_ENDED}
        channel.move(ChannelInput.CLIENT_CANCEL)
        self._out.drop_audio(channel.id)
        return [events.ChannelCancelled(channel.id)] if was_running else []

    def _on_commit(self, channel: ServerChannel, message: messages.Commit) -> list[Event]:
        if not channel.hears:
            return self._refuse(message, "WRONG_STATE", "this channel has no utterance to end")
        told = self._data(channel, message, events.UtteranceCommitted(channel.id))
        if isinstance(told[0] if told else None, events.UtteranceCommitted):
            channel.mark("commit")
        return told

    def _on_tts_text(self, channel: ServerChannel, message: messages.TtsText) -> list[Event]:
        if not channel.reads:
            return self._refuse(message, "WRONG_STATE", "this channel takes no text")
        return self._data(channel, message, events.TextReceived(channel.id, message.text))

    def _data(self, channel: ServerChannel, message: messages.ChannelCommand, event: Event) -> list[Event]:
        if not channel.allows(ChannelInput.CLIENT_DATA):
            return self._refuse(message, "WRONG_STATE", "the input of this channel has ended")
        return [event] if channel.state is ChannelState.OPEN else []

    def _on_playback(self, channel: ServerChannel, message: messages.Playback) -> list[Event]:
        if channel.params.kind not in PLAYS_AUDIO:
            return self._refuse(message, "WRONG_STATE", "this channel plays nothing")
        return self._played(channel, message.played_ms, message.generation)

    def _played(self, channel: ServerChannel, played_ms: int, generation: int | None) -> list[Event]:
        stale = generation is not None and generation != channel.generation
        if stale or channel.state is ChannelState.CLOSING:
            return []
        return [events.PlaybackReported(channel.id, played_ms)]

    # --- frames that the microphone gate refused ---

    def receive_odd_frame(self, data: bytes, now: float) -> list[Event]:
        """Handle a frame that is the last, repeated, late or invalid. Raises RemoteProtocolError."""
        self._first = False
        odd = frame.decode(data)
        if len(odd.payload) > self._limits.frame_bytes:
            raise RemoteProtocolError(CloseCode.MESSAGE_TOO_BIG, f"a frame may carry {self._limits.frame_bytes} bytes")
        self._gate.heard_at = now
        channel = self._out.channels.get(odd.channel)
        if channel is None:
            if self._was_used(odd.channel):
                return []  # it crossed with `channel.closed`
            return self._refuse_frame(f"channel {odd.channel} was never opened", "UNKNOWN_CHANNEL", now)
        if odd.seq < channel.next_frame:
            return []  # already taken, over an earlier socket
        if not channel.allows(ChannelInput.CLIENT_DATA):
            return self._refuse_frame(f"the input of channel {odd.channel} has ended", "WRONG_STATE", now)
        if channel.state is not ChannelState.OPEN:
            return []  # it crossed with `channel.cancel` or `channel.closed`
        flaw = self._gate.flaw(channel, odd, now)
        return self._fail(channel, flaw) if flaw else self._take_last(channel, odd)

    def _refuse_frame(self, message: str, code: str, now: float) -> list[Event]:
        price = min(self._limits.command_burst, self._limits.stray_price)
        if not self._rate.take(price, now):
            self._lose_patience(now, price)
            return []  # answering every frame of a flood would be a flood too
        return self._refuse(None, code, message)

    def _fail(self, channel: ServerChannel, flaw: Refusal) -> list[Event]:
        channel.move(ChannelInput.SERVER_CLOSE)
        self._out.drop_audio(channel.id)
        closed = messages.ChannelClosed(channel=channel.id, status="error", code=flaw.code, message=flaw.message)
        self._out.put(closed, channel.id, closes=channel.id)
        return [events.ChannelFailed(channel.id, flaw.code, flaw.message)]

    def _take_last(self, channel: ServerChannel, last: frame.Frame) -> list[Event]:
        channel.move(ChannelInput.CLIENT_END)
        lost = last.flags & frame.LOST != 0
        received = events.AudioReceived(channel.id, last.payload, last.pts_ms, True, lost, 0, last.seq)
        return [received, events.InputEnded(channel.id)]

    # --- moving to another replica ---

    @property
    def memory(self) -> CommandMemory:
        """The commands seen."""
        return self._memory

    def save(self) -> dict[str, Any]:
        """State of the commands taken."""
        return {"taken_seq": self.taken_seq, "used": hex(self._used)}

    def restore(self, saved: dict[str, Any], commands: list[list[Any]]) -> None:
        """Restore what `save` returned."""
        self.taken_seq = saved["taken_seq"]
        self._used = int(saved["used"], 16)
        self._memory.restore(commands)

    # --- dispatch ---

    _CHANNEL_HANDLERS: ClassVar[dict[type, Callable[[Inbox, ServerChannel, Any], list[Event]]]] = {
        messages.CreditGrant: _on_credit,
        messages.ChannelEnd: _on_end,
        messages.ChannelCancel: _on_cancel,
        messages.Commit: _on_commit,
        messages.TtsText: _on_tts_text,
        messages.Playback: _on_playback,
    }
    _HANDLERS: ClassVar[dict[type, Callable[[Inbox, Any, float], list[Event]]]] = {
        messages.SessionResume: _on_resume,
        messages.Auth: _on_auth,
        messages.AuthRefresh: _on_auth_refresh,
        messages.Ack: _on_ack,
        messages.Ping: _on_ping,
        messages.Pong: _on_pong,
        messages.Call: _on_call,
        messages.TaskConfirm: _on_confirm,
        **dict.fromkeys(messages.OPEN_COMMANDS.values(), _on_open),
        **dict.fromkeys(_CHANNEL_HANDLERS, _on_channel_command),
    }
