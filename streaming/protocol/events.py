"""The events by which the core tells its owner what happened. Match on the class.

All are frozen but `AudioReceived`, which is made for every microphone frame: freezing it would triple its cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams, Message, SessionReady, SessionResumed


@dataclass(slots=True, repr=False)
class AudioReceived:
    """A frame. `lost`: audio is missing before it. `seq`: number in the channel (server) or in the session (client)."""

    channel: int
    payload: bytes
    pts_ms: int
    last: bool
    lost: bool
    generation: int
    seq: int

    def __repr__(self) -> str:
        """One line, without the audio."""
        size, at = len(self.payload), self.pts_ms
        return f"AudioReceived(channel={self.channel}, {size} bytes at {at} ms, generation={self.generation}, seq={self.seq})"


@dataclass(frozen=True, slots=True)
class CreditGranted:
    """The other side allows more audio bytes."""

    channel: int
    bytes: int


@dataclass(frozen=True, slots=True)
class SpeechArrived:
    """The client has received the channel's audio, for which `want_receipt` asked."""

    channel: int


@dataclass(frozen=True, slots=True)
class Ponged:
    """The client has answered the server's ping `t`: it has everything that was sent before on this socket."""

    t: float


@dataclass(frozen=True, slots=True)
class PeerSilent:
    """The other side has sent nothing, not even a pong. Reported once per silence."""

    silent_s: float


# --- to the owner of a server's session ---


@dataclass(frozen=True, slots=True)
class ChannelAccepted:
    """The client opened a channel, and has been told: start its lane, or close it with an error."""

    channel: int
    params: ChannelParams
    id: str | None

    @property
    def kind(self) -> str:
        """stt, tts, execute, turn or observe."""
        return self.params.kind


@dataclass(frozen=True, slots=True)
class InputEnded:
    """`channel.end`: no more input."""

    channel: int


@dataclass(frozen=True, slots=True)
class ChannelCancelled:
    """`channel.cancel`: stop the lane, then close the channel. Its queued audio has already been dropped."""

    channel: int


@dataclass(frozen=True, slots=True)
class ChannelFailed:
    """The core closed a channel because of the client's mistake, and has told the client: stop the lane."""

    channel: int
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class UtteranceCommitted:
    """`commit`: the utterance ends here."""

    channel: int


@dataclass(frozen=True, slots=True)
class TextReceived:
    """`tts.text`: the next piece to speak."""

    channel: int
    text: str


@dataclass(frozen=True, slots=True)
class PlaybackReported:
    """`playback`: how much of the current utterance was heard. Reports on stale generations are suppressed."""

    channel: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class CallReceived:
    """`call`: run the operation and answer with `Result` or `Error` of that id."""

    id: str
    op: str
    params: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ConfirmationReceived:
    """`task.confirm`."""

    confirmation_id: str
    approve: bool
    id: str | None
    channel: int | None
    action_hash: str | None = None


@dataclass(frozen=True, slots=True)
class AuthRefreshReceived:
    """`auth.refresh`: verify the token and answer with `AuthOk` or `Error`."""

    token: str
    id: str | None


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """`session.resume` as first message: find the session and `resume` its connection, or answer with `SessionReady`."""

    resume_token: str
    last_seq: int


@dataclass(frozen=True, slots=True)
class ResumeRefused:
    """An invalid `session.resume` as first message: answer with `SessionReady` and its `resume_error`, then with this `Error`."""

    id: str | None
    code: str
    message: str


@dataclass(frozen=True, slots=True)
class CommandRepeated:
    """A command was repeated. It was answered from memory or its answer is under way; nothing is to be done."""

    id: str


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A message was answered with an error. For metrics."""

    code: str


@dataclass(frozen=True, slots=True)
class SlowConsumer:
    """The send queue exceeds its limit: close with 4002 and detach; the session can be resumed. Reported once per socket."""

    queue_bytes: int


@dataclass(frozen=True, slots=True)
class ResumeLost:
    """The session can no longer be resumed, because its queue overflowed or the resume window ended: drop it."""

    reason: str


# --- to the owner of a client's connection ---


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A new epoch. Channels and unanswered commands of the previous one are lost, as listed."""

    ready: SessionReady
    lost_channels: tuple[int, ...] = ()
    lost_commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRecovered:
    """The session was resumed; the missed messages follow."""

    resumed: SessionResumed


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message from the server. `seq` is None for a message of the socket."""

    message: Message
    seq: int | None


@dataclass(frozen=True, slots=True)
class UnknownMessageReceived:
    """A message of a type unknown to this client, from a newer server. Harmless."""

    type: str
    data: dict[str, Any]


@dataclass(frozen=True, slots=True)
class PongReceived:
    """The server answered a ping."""

    rtt_s: float
    server_time_ms: int


Event = (
    AudioReceived
    | CreditGranted
    | SpeechArrived
    | Ponged
    | PeerSilent
    | ChannelAccepted
    | InputEnded
    | ChannelCancelled
    | ChannelFailed
    | UtteranceCommitted
    | TextReceived
    | PlaybackReported
    | CallReceived
    | ConfirmationReceived
    | AuthRefreshReceived
    | ResumeRequested
    | ResumeRefused
    | CommandRepeated
    | CommandRefused
    | SlowConsumer
    | ResumeLost
    | SessionStarted
    | SessionRecovered
    | MessageReceived
    | UnknownMessageReceived
    | PongReceived
)
