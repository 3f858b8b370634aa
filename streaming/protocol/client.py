"""The client's side of a session. Like the server's, it has no I/O, no clock and no randomness.

Commands that the server has not acknowledged, and microphone frames that it has not taken, are kept and sent again after a
resume. What cannot be sent yet (no socket, no credit) waits; of microphone audio, only the newest part is kept. Mistakes of the
caller raise LocalProtocolError; a server that breaks the protocol raises RemoteProtocolError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import ValidationError

from streaming.protocol import events, frame, messages
from streaming.protocol.acknowledger import Acknowledger
from streaming.protocol.channel import NOTHING_HEARD, ChannelInput, ChannelState, ClientChannel
from streaming.protocol.client_outbox import ClientOutbox
from streaming.protocol.close_codes import CloseCode
from streaming.protocol.errors import LocalProtocolError, RemoteProtocolError
from streaming.protocol.limits import ClientLimits
from streaming.protocol.sendqueue import QueuedAudio
from streaming.strict_json import NotJsonError, UnsafeJsonError, parse_object

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.protocol.events import Event
    from streaming.protocol.messages import ChannelParams, Message

DEFAULT_LIMITS = ClientLimits()
HEARTBEAT_S = 20.0  # until the server states its own
LAST_CHANNEL = 65_535
SPEAKS = frozenset({"tts", "turn"})  # kinds whose audio consists of utterances, with frames in order
ResumeBy = Literal["message", "url"]


class ClientConnection:
    """A client's connection. Command ids are `id_prefix` and a number: the prefix must be unique among all runs."""

    __slots__ = (
        "_acknowledger",
        "_awaiting",
        "_channels",
        "_heard_at",
        "_heartbeat_s",
        "_id_prefix",
        "_last_id",
        "_limits",
        "_next_channel",
        "_out",
        "_pinged_for",
        "_resume",
        "_silent_for",
        "_unanswered",
        "epoch",
        "resume_token",
        "stale_bytes",
    )

    def __init__(self, now: float, limits: ClientLimits = DEFAULT_LIMITS, *, id_prefix: str = "c") -> None:
        self._limits = limits
        self._channels: dict[int, ClientChannel] = {}
        self._out = ClientOutbox(limits, self._channels)
        self._acknowledger = Acknowledger(limits)
        self._id_prefix = id_prefix
        self._last_id = 0
        self._next_channel = 1
        self._unanswered: dict[str, int | None] = {}  # by id; of `channel.open`: its channel
        self._awaiting = True  # the server has not yet said which session this socket has
        self._resume: ResumeBy | None = None
        self._heard_at = now
        self._heartbeat_s = HEARTBEAT_S
        self._pinged_for = self._silent_for = -1.0  # the `_heard_at` that the last ping or PeerSilent was about
        self.epoch: str | None = None
        self.resume_token: str | None = None
        self.stale_bytes = 0  # audio that arrived too late to be played

    # --- a socket comes and goes ---

    @property
    def attached(self) -> bool:
        """True if there is a socket."""
        return self._out.attached

    @property
    def last_seq(self) -> int:
        """The highest sequence number received without a gap; for the URL, with `resume_token`."""
        return self._acknowledger.last_seq

    def attach(self, now: float, resume: ResumeBy | None = None) -> None:
        """Attach a new socket. `resume`: "url" if its address had `?resume=&last_seq=`, "message" to resume by the first message.

        Only `authenticate` is sent before the server has said which session it is. Raises LocalProtocolError.
        """
        if self.attached:
            raise LocalProtocolError("detach the old socket first")
        if resume and self.resume_token is None:
            raise LocalProtocolError("there is no session to resume")
        self._resume = resume
        self._awaiting = True
        self._heard_at = now
        self._out.attach()
        if resume == "message" and self.resume_token is not None:
            self._out.put_for_socket(messages.SessionResume(resume_token=self.resume_token, last_seq=self.last_seq))

    def detach(self) -> None:
        """The socket is gone. Does nothing if there is none."""
        self._out.detach()
        self._acknowledger.settle()

    # --- commands ---

    def _new_id(self, opens: int | None = None) -> str:
        self._last_id += 1
        command_id = f"{self._id_prefix}{self._last_id}"
        self._unanswered[command_id] = opens
        return command_id

    def call(self, op: str, params: dict[str, Any] | None = None) -> str:
        """Call an operation; returns the id of its `Result` or `Error`."""
        command_id = self._new_id()
        self._out.put(messages.Call(id=command_id, op=op, params=params or {}))
        return command_id

    def open_channel(self, params: ChannelParams) -> int:
        """Open a channel of the parameters' kind; returns its number. Raises LocalProtocolError if no number is left."""
        number = self._next_channel
        if number > LAST_CHANNEL:
            raise LocalProtocolError("this epoch has no channel numbers left: start a new session")
        self._next_channel += 2
        credit = self._limits.speaker_window_bytes
        self._channels[number] = ClientChannel(number, params, credit)
        command = messages.OPEN_COMMANDS[params.kind]
        self._out.put(
            command(
                id=self._new_id(number),
                channel=number,
                credit=credit,
                params=params,  # type: ignore[arg-type]  # the table pairs commands and parameters
            )
        )
        return number

    def send_audio(self, channel: int, payload: bytes, pts_ms: int, *, last: bool = False) -> None:
        """Queue a microphone frame; `last` ends the input. Ignored if the server has closed the channel."""
        state = self._input(channel, ChannelInput.CLIENT_DATA)
        if state is None:
            return
        if last:
            state.move(ChannelInput.CLIENT_END)
        self._out.put_audio(state, QueuedAudio(channel, payload, 0, pts_ms, frame.LAST if last else 0))

    def send_text(self, channel: int, text: str) -> None:
        """Send the next piece of text to speak."""
        if self._input(channel, ChannelInput.CLIENT_DATA):
            self._out.put(messages.TtsText(channel=channel, text=text))

    def commit(self, channel: int) -> None:
        """End the utterance after the audio queued so far."""
        if self._input(channel, ChannelInput.CLIENT_DATA):
            self._out.put(messages.Commit(channel=channel), behind=channel)

    def end_channel(self, channel: int) -> None:
        """End the input after what is queued so far."""
        if self._input(channel, ChannelInput.CLIENT_END):
            self._out.put(messages.ChannelEnd(channel=channel), behind=channel)

    def cancel_channel(self, channel: int) -> None:
        """Stop the channel now. Queued audio is dropped, and further audio is ignored."""
        if self._input(channel, ChannelInput.CLIENT_CANCEL):
            self._out.drop_audio(channel)
            self._out.put(messages.ChannelCancel(channel=channel))

    def _input(self, channel: int, happening: ChannelInput) -> ClientChannel | None:
        """Make the transition and return the channel; None if the server closed it, which it may do at any time."""
        state = self._channels.get(channel)
        if state is not None:
            state.move(happening)
        elif channel % 2 == 0 or not 0 < channel < self._next_channel:
            raise LocalProtocolError(f"channel {channel} was never opened")
        return state

    def report_playback(self, channel: int, played_ms: int) -> None:
        """Report how much of the current utterance was heard."""
        state = self._channels.get(channel)
        if state is not None:
            self._out.put(messages.Playback(channel=channel, played_ms=played_ms, generation=state.generation))

    def played(self, channel: int, n_bytes: int) -> None:
        """Report audio played or discarded. The credit goes back to the server in portions."""
        state = self._channels.get(channel)
        grant = state.receive_window.take(n_bytes) if state else 0
        if grant:
            self._out.put(messages.CreditGrant(channel=channel, bytes=grant))

    def confirm(
        self, confirmation_id: str, *, approve: bool, channel: int | None = None, action_hash: str | None = None
    ) -> str:
        """Answer a question; returns the command's id. `action_hash`: from the question, so that no other action is approved."""
        command_id = self._new_id()
        self._out.put(
            messages.TaskConfirm(
                id=command_id,
                confirmation_id=confirmation_id,
                approve=approve,
                channel=channel,
                action_hash=action_hash,
            )
        )
        return command_id

    def refresh_auth(self, token: str) -> None:
        """Send a new token for this socket."""
        self._out.put_for_socket(messages.AuthRefresh(token=token))

    def ping(self, now: float) -> None:
        """Ping the server; a `PongReceived` follows."""
        self._out.put_for_socket(messages.Ping(t=now))

    def sendable_bytes(self, channel: int) -> int:
        """Payload bytes that the server's credit still allows."""
        state = self._channels.get(channel)
        if state is None:
            return 0
        return max(0, state.send_window.available - self._out.queue.audio_bytes(channel))

    # --- sending ---

    @property
    def has_data(self) -> bool:
        """True if there is something to send."""
        return self._out.has_data(awaiting=self._awaiting)

    def data_to_send(self, max_bytes: int = 65_536) -> list[str | bytes]:
        """The next messages to send, text and binary in order."""
        return self._out.data_to_send(max_bytes, awaiting=self._awaiting)

    # --- receiving ---

    def receive_text(self, text: str, now: float) -> list[Event]:
        """Handle a text message. Raises RemoteProtocolError."""
        self._heard_at = now
        fields = self._parse(text)
        kind, seq = fields.get("type"), fields.get("seq")
        if type(seq) is not int or kind == "ack" or self._awaiting:
            seq = None  # a message of the socket
        elif not self._acknowledger.received(seq, len(text), now, self._out):
            return []
        try:
            message = messages.SERVER_MESSAGES.validate_json(text, extra="ignore")
        except ValidationError as error:
            if error.errors(include_url=False)[0]["type"].startswith("union_tag") and isinstance(kind, str):
                return [events.UnknownMessageReceived(kind, fields)]
            raise RemoteProtocolError(
                CloseCode.PROTOCOL_ERROR, f"a wrong {kind}: {error.errors()[0]['msg']}"
            ) from error
        handler = self._HANDLERS.get(type(message))
        told = handler(self, message, now) if handler else []
        if told is None:
            return []
        return [events.MessageReceived(message, seq), *told]

    def _parse(self, text: str) -> dict[str, Any]:
        try:
            return parse_object(text, self._limits.json_depth, len(text))  # as many values as the server has found
        except (NotJsonError, UnsafeJsonError) as error:
            raise RemoteProtocolError(CloseCode.INVALID_PAYLOAD, str(error)) from error

    def receive_binary(self, data: bytes, now: float) -> list[Event]:
        """Handle a frame; stale and repeated frames yield nothing. Raises RemoteProtocolError."""
        self._heard_at = now
        received = frame.decode(data)
        if not self._acknowledger.received(received.seq, len(data), now, self._out):
            return []
        channel = self._channels.get(received.channel)
        if channel is None or self._came_before(channel, received):
            return []
        if not channel.receive_window.receive(len(received.payload)):
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "more audio than there was credit for")
        if received.generation < channel.generation or channel.state is ChannelState.CANCELLED:
            self.stale_bytes += len(received.payload)
            self.played(channel.id, len(received.payload))
            return []
        channel.generation = received.generation
        return [
            events.AudioReceived(
                channel.id,
                received.payload,
                received.pts_ms,
                received.flags & frame.LAST != 0,
                received.flags & frame.LOST != 0,
                received.generation,
                received.seq,
            )
        ]

    def _came_before(self, channel: ClientChannel, received: frame.Frame) -> bool:
        """True for a repeated frame. After a move to another replica, speech may begin a little earlier, with audio already counted."""
        if channel.params.kind not in SPEAKS or received.generation < channel.generation:
            return False
        place = (received.generation, received.pts_ms, received.flags & frame.LAST)
        if place[0] == channel.heard[0] and place <= channel.heard:
            return True
        channel.heard = place
        return False

    # Each returns the events that follow MessageReceived, or None to suppress MessageReceived too.

    def _on_ready(self, message: messages.SessionReady, _now: float) -> list[Event] | None:
        if not self._awaiting or (self._resume == "message" and message.resume_error is None):
            return None  # the answer to `session.resume` follows
        lost_channels, lost_commands = tuple(self._channels), tuple(self._unanswered)
        if self.epoch is None:
            lost_channels = lost_commands = ()  # commands made before the first session was ready are sent now
        else:
            self._channels.clear()
            self._unanswered.clear()
            self._next_channel = 1
            self._out.clear()
        self._acknowledger.start()
        self.epoch, self.resume_token = message.epoch, message.resume_token
        self._heartbeat_s = message.heartbeat_ms / 1000
        self._awaiting = False
        return [events.SessionStarted(message, lost_channels, lost_commands)]

    def _on_resumed(self, message: messages.SessionResumed, _now: float) -> list[Event]:
        if not self._awaiting or message.epoch != self.epoch:
            raise RemoteProtocolError(CloseCode.PROTOCOL_ERROR, "a session was resumed that was not asked for")
        self._awaiting = False
        self._out.resume(message.taken_seq, message.channels)
        return [events.SessionRecovered(message)]

    def _on_resumable(self, message: messages.SessionResumable, _now: float) -> None:
        if not self._awaiting:  # otherwise it is about an epoch that stands in for ours
            self.resume_token = message.resume_token

    def _on_ack(self, message: messages.ServerAck, _now: float) -> None:
        self._out.commands_taken(message.seq)

    def _on_ping(self, message: messages.ServerPing, _now: float) -> None:
        self._out.put_for_socket(messages.Pong(t=message.t))

    def _on_pong(self, message: messages.ServerPong, now: float) -> list[Event]:
        return [events.PongReceived(now - message.t, message.server_time)]

    def _on_opened(self, message: messages.ChannelOpened, _now: float) -> list[Event]:
        self._answered(message.id)
        channel = self._channels.get(message.channel)
        if channel is None or channel.opened:
            return []
        channel.opened = True
        return self._granted(channel, message.credit)

    def _on_credit(self, message: messages.Credit, _now: float) -> list[Event]:
        channel = self._channels.get(message.channel)
        if channel is None:
            return []
        self._out.frames_taken(message.channel, message.next_frame)
        return self._granted(channel, message.bytes)

    def _granted(self, channel: ClientChannel, n_bytes: int) -> list[Event]:
        channel.send_window.grant(n_bytes)
        return [events.CreditGranted(channel.id, n_bytes)]

    def _on_closed(self, message: messages.ChannelClosed, _now: float) -> list[Event]:
        self._channels.pop(message.channel, None)
        self._out.forget_channel(message.channel)
        return []

    def _on_result(self, message: messages.Result, _now: float) -> list[Event]:
        self._answered(message.id)
        return []

    def _on_error(self, message: messages.Error, now: float) -> list[Event]:
        refused = self._answered(message.id)
        if refused is None:
            return []
        # The server never opened it, so it sends no `channel.closed`.
        closed = messages.ChannelClosed(channel=refused, status="error", code=message.code, message=message.message)
        return [events.MessageReceived(closed, None), *self._on_closed(closed, now)]

    def _answered(self, command_id: str | None) -> int | None:
        """Forget the command; returns the channel that it would have opened."""
        return self._unanswered.pop(command_id, None) if command_id is not None else None

    def _on_utterance(self, message: messages.TtsStarted, _now: float) -> list[Event]:
        channel = self._channels.get(message.channel)
        if channel is not None:
            channel.heard = NOTHING_HEARD
        return []

    def _on_generation(
        self, message: messages.TurnInterrupted | messages.TurnPaused | messages.TurnContinued, _now: float
    ) -> list[Event]:
        channel = self._channels.get(message.channel)
        if channel is not None:
            channel.generation = max(channel.generation, message.generation)
        return []

    _HANDLERS: ClassVar[dict[type[Message], Callable[[ClientConnection, Any, float], list[Event] | None]]] = {
        messages.SessionReady: _on_ready,
        messages.SessionResumed: _on_resumed,
        messages.ServerAck: _on_ack,
        messages.SessionResumable: _on_resumable,
        messages.ServerPing: _on_ping,
        messages.ServerPong: _on_pong,
        messages.ChannelOpened: _on_opened,
        messages.Credit: _on_credit,
        messages.ChannelClosed: _on_closed,
        messages.Result: _on_result,
        messages.Error: _on_error,
        messages.TtsStarted: _on_utterance,
        messages.TurnInterrupted: _on_generation,
        messages.TurnPaused: _on_generation,
        messages.TurnContinued: _on_generation,
    }

    # --- time ---

    def next_deadline(self) -> float | None:
        """When `handle_timeout` is due, in monotonic seconds; None if never."""
        if not self.attached:
            return None
        deadlines = (self._acknowledger.due_at, self._silence_deadline())
        return min((at for at in deadlines if at is not None), default=None)

    def _silence_deadline(self) -> float | None:
        if self._silent_for == self._heard_at:
            return None
        beats = 2 if self._pinged_for == self._heard_at else 1
        return self._heard_at + beats * self._heartbeat_s

    def handle_timeout(self, now: float) -> list[Event]:
        """Acknowledge what was received, and ping a silent server."""
        if not self.attached:
            return []
        self._acknowledger.handle_timeout(now, self._out)
        deadline = self._silence_deadline()
        if deadline is None or now < deadline:
            return []
        if self._pinged_for != self._heard_at:
            self._pinged_for = self._heard_at
            self.ping(now)
            return []
        self._silent_for = self._heard_at
        return [events.PeerSilent(now - self._heard_at)]
