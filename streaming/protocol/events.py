"""What the core tells its owner: past tense, slotted. Match on the class.

Frozen, but for `AudioReceived`: it is made for every frame of every microphone, and freezing would triple its cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from streaming.protocol.messages import ChannelParams, Message, SessionReady, SessionResumed


@dataclass(slots=True, repr=False)
class AudioReceived:
    """A frame. `lost`: audio is missing before it. `seq` is its number in the channel (server) or the session (client)."""

    channel: int
    payload: bytes
    pts_ms: int
    last: bool
    lost: bool
    generation: int
    seq: int

    def __repr__(self) -> str:
        """One line, without the audio itself."""
        size, at = len(self.payload), self.pts_ms
        return f"AudioReceived(channel={self.channel}, {size} bytes at {at} ms, generation={self.generation}, seq={self.seq})"


@dataclass(frozen=True, slots=True)
class CreditGranted:
    """The other side takes so many more bytes of audio."""

    channel: int
    bytes: int


@dataclass(frozen=True, slots=True)
class PeerSilent:
    """Nothing was heard for so long, not even an answer to a ping. Told once in a silence."""

    silent_s: float


# --- to the owner of a server's session ---


@dataclass(frozen=True, slots=True)
class ChannelOpened:
    """The client opened a channel (it has been told so): start its lane, or close the channel with an error."""

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
    """`channel.cancel`: stop the lane, then close the channel. Its queued audio is gone already."""

    channel: int


@dataclass(frozen=True, slots=True)
class ChannelFailed:
    """The core closed a channel because of the client's mistake (it has been told so): stop the lane."""

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
    """`playback`: so much of the current utterance was heard. Reports of stale generations are not told."""

    channel: int
    played_ms: int


@dataclass(frozen=True, slots=True)
class CallReceived:
    """`call`: run it, answer with `Result` or `Error` of that id."""

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


@dataclass(frozen=True, slots=True)
class AuthRefreshReceived:
    """`auth.refresh`: check the token, answer with `AuthOk` or `Error`."""

    token: str
    id: str | None


@dataclass(frozen=True, slots=True)
class ResumeRequested:
    """`session.resume` as the first message: find the session, `resume` its connection, or answer `SessionReady`."""

    resume_token: str
    last_seq: int


@dataclass(frozen=True, slots=True)
class CommandRepeated:
    """A command came again; it was answered from memory, or its answer is on the way. Nothing to do."""

    id: str


@dataclass(frozen=True, slots=True)
class CommandRefused:
    """A message was answered with an error: for metrics."""

    code: str


@dataclass(frozen=True, slots=True)
class SlowConsumer:
    """The send queue is over its limit: close 4002 and detach; the session can be resumed. Told once per socket."""

    queue_bytes: int


@dataclass(frozen=True, slots=True)
class ResumeLost:
    """The session can't be resumed any more: its queue overflowed, or its window passed. Let go of it."""

    reason: str


# --- to the owner of a client's connection ---


@dataclass(frozen=True, slots=True)
class SessionStarted:
    """A new epoch. Everything of the one before is gone: the channels and unanswered command ids listed here."""

    ready: SessionReady
    lost_channels: tuple[int, ...] = ()
    lost_commands: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionRecovered:
    """The session goes on; what was missed follows."""

    resumed: SessionResumed


@dataclass(frozen=True, slots=True)
class MessageReceived:
    """A message of the server. `seq` None: of the socket, not of the session."""

    message: Message
    seq: int | None


@dataclass(frozen=True, slots=True)
class UnknownMessageReceived:
    """A message of a type that this client does not know: a newer server's. Harmless."""

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
    | PeerSilent
    | ChannelOpened
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
