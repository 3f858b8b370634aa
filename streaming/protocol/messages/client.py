"""Commands: what a client sends."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from streaming.protocol.messages.base import (
    Bytes,
    Channel,
    ChannelCommand,
    Command,
    Count,
    Generation,
    Id,
    JsonObject,
    NumberedCommand,
    Text,
    Token,
)
from streaming.protocol.messages.params import ExecuteParams, ObserveParams, SttParams, TtsParams, TurnParams

DEFAULT_CREDIT_BYTES = 262_144  # five seconds of 24 kHz PCM

# --- of the socket: never numbered, never sent again ---


class SessionResume(Command):
    """First message of a socket that takes a session up again."""

    type: Literal["session.resume"] = "session.resume"
    resume_token: Token
    """From the last `session.ready`."""
    last_seq: Count
    """The highest number received without a gap; 0: none."""


class Auth(Command):
    """First message of a socket that was opened without a token."""

    type: Literal["auth"] = "auth"
    token: Token
    """An access token."""


class AuthRefresh(Command):
    """A new token, before the old one expires."""

    type: Literal["auth.refresh"] = "auth.refresh"
    token: Token
    """An access token of the same user."""


class Ack(Command):
    """Everything up to `seq` arrived and need not be kept."""

    type: Literal["ack"] = "ack"
    seq: Count
    """The highest number received without a gap."""


class Ping(Command):
    """Are you there?"""

    type: Literal["ping"] = "ping"
    t: int | float
    """Any number, echoed."""


class Pong(Command):
    """Answer to the server's `ping`."""

    type: Literal["pong"] = "pong"
    t: int | float
    """The number from the `ping`."""


# --- of the session: numbered by clients that resume ---


class Call(NumberedCommand):
    """One operation of the REST interface, by name."""

    type: Literal["call"] = "call"
    id: Id
    """Answered by the `result` or `error` with this id; repeated, it is not run again."""
    op: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Name of the operation, such as `agent.intent`."""
    params: JsonObject = Field(default_factory=dict)
    """The fields of its request: body, path and query alike."""


class _ChannelOpen(NumberedCommand):
    type: Literal["channel.open"] = "channel.open"
    channel: Channel
    """Odd, and unused before in this epoch."""
    credit: Annotated[int, Field(ge=0, le=2**31 - 1)] = DEFAULT_CREDIT_BYTES
    """Bytes of audio the server may send before it must wait for `credit`."""


class OpenStt(_ChannelOpen):
    """Open a channel for transcription."""

    kind: Literal["stt"] = "stt"
    """A microphone, transcribed."""
    params: SttParams = SttParams()
    """How."""


class OpenTts(_ChannelOpen):
    """Open a channel for speech."""

    kind: Literal["tts"] = "tts"
    """Text, spoken."""
    params: TtsParams = TtsParams()
    """How."""


class OpenExecute(_ChannelOpen):
    """Open a channel for a task."""

    kind: Literal["execute"] = "execute"
    """One task of an executor."""
    params: ExecuteParams
    """What to do."""


class OpenTurn(_ChannelOpen):
    """Open a channel for spoken turns."""

    kind: Literal["turn"] = "turn"
    """The whole agent."""
    params: TurnParams = TurnParams()
    """How."""


class OpenObserve(_ChannelOpen):
    """Open a channel that copies another session."""

    kind: Literal["observe"] = "observe"
    """A read-only copy of another session."""
    params: ObserveParams
    """Whose."""


class CreditGrant(ChannelCommand):
    """The server may send more audio: played, or dropped as stale."""

    type: Literal["credit"] = "credit"
    bytes: Bytes
    """So many more payload bytes."""


class ChannelEnd(ChannelCommand):
    """No more input; results still come."""

    type: Literal["channel.end"] = "channel.end"


class ChannelCancel(ChannelCommand):
    """Stop now."""

    type: Literal["channel.cancel"] = "channel.cancel"


class Commit(ChannelCommand):
    """The utterance ends here (push-to-talk); the channel stays open."""

    type: Literal["commit"] = "commit"


class TtsText(ChannelCommand):
    """The next piece of text to speak."""

    type: Literal["tts.text"] = "tts.text"
    text: Text
    """Joined to the piece before as it is: spaces count."""


class Playback(ChannelCommand):
    """How much of the current utterance was played: what the user has heard."""

    type: Literal["playback"] = "playback"
    played_ms: Count
    """Position in the utterance, in milliseconds."""
    generation: Generation | None = None
    """Of the audio played; a report about a stale generation is of no use any more."""


class TaskConfirm(NumberedCommand):
    """Answer to `task.confirmation_required`, from any socket of the user."""

    type: Literal["task.confirm"] = "task.confirm"
    confirmation_id: Id
    """From the question."""
    approve: bool
    """Do it, or don't."""
    channel: Channel | None = None
    """The channel that asked, where this session has it."""


OpenCommand = OpenStt | OpenTts | OpenExecute | OpenTurn | OpenObserve
ChannelOpen = Annotated[OpenCommand, Field(discriminator="kind")]
ClientMessage = Annotated[
    SessionResume
    | Auth
    | AuthRefresh
    | Ack
    | Ping
    | Pong
    | Call
    | ChannelOpen
    | CreditGrant
    | ChannelEnd
    | ChannelCancel
    | Commit
    | TtsText
    | Playback
    | TaskConfirm,
    Field(discriminator="type"),
]
