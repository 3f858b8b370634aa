"""Commands: what a client sends."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from streaming.protocol.messages.base import (
    ActionHash,
    Bytes,
    ChannelCommand,
    ChannelNumber,
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

# --- of the socket: neither numbered nor sent again ---


class SessionResume(Command):
    """First message of a socket that resumes a session."""

    type: Literal["session.resume"] = "session.resume"
    resume_token: Token
    """The newest token, from `session.ready` or `session.resumable`."""
    last_seq: Count
    """The highest number received without a gap; 0 if none."""


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
    """Everything up to `seq` was received and need not be kept."""

    type: Literal["ack"] = "ack"
    seq: Count
    """The highest number received without a gap."""


class Ping(Command):
    """Asks the server for a `pong`."""

    type: Literal["ping"] = "ping"
    t: int | float
    """Any number, echoed."""


class Pong(Command):
    """Answers the server's `ping`."""

    type: Literal["pong"] = "pong"
    t: int | float
    """The number from the `ping`."""


# --- of the session: numbered by clients that resume ---


class Call(NumberedCommand):
    """Run one operation of the REST interface."""

    type: Literal["call"] = "call"
    id: Id
    """Answered by the `result` or `error` with this id. A repeated call is not run again."""
    op: Annotated[str, StringConstraints(min_length=1, max_length=64)]
    """Name of the operation, such as `agent.intent`."""
    params: JsonObject = Field(default_factory=dict)
    """The fields of the operation's request: body, path and query together."""


class _ChannelOpen(NumberedCommand):
    type: Literal["channel.open"] = "channel.open"
    channel: ChannelNumber
    """An odd number not yet used in this epoch."""
    credit: Annotated[int, Field(ge=0, le=2**31 - 1)] = DEFAULT_CREDIT_BYTES
    """Bytes of audio that the server may send before it must wait for `credit`."""


class OpenStt(_ChannelOpen):
    """Open a channel for transcription."""

    kind: Literal["stt"] = "stt"
    """A microphone to transcribe."""
    params: SttParams = SttParams()
    """How to transcribe."""


class OpenTts(_ChannelOpen):
    """Open a channel for speech."""

    kind: Literal["tts"] = "tts"
    """Text to speak."""
    params: TtsParams = TtsParams()
    """How to speak."""


class OpenExecute(_ChannelOpen):
    """Open a channel for a task."""

    kind: Literal["execute"] = "execute"
    """One task of an executor."""
    params: ExecuteParams
    """The task."""


class OpenTurn(_ChannelOpen):
    """Open a channel for spoken turns."""

    kind: Literal["turn"] = "turn"
    """Turns with the whole agent."""
    params: TurnParams = TurnParams()
    """How to listen and answer."""


class OpenObserve(_ChannelOpen):
    """Open a channel that copies another session."""

    kind: Literal["observe"] = "observe"
    """A read-only copy of another session."""
    params: ObserveParams
    """The session to observe."""


class CreditGrant(ChannelCommand):
    """The server may send more audio, because some was played or dropped as stale."""

    type: Literal["credit"] = "credit"
    bytes: Bytes
    """Additional payload bytes."""


class ChannelEnd(ChannelCommand):
    """No more input follows; results still come."""

    type: Literal["channel.end"] = "channel.end"


class ChannelCancel(ChannelCommand):
    """Stop the channel now."""

    type: Literal["channel.cancel"] = "channel.cancel"


class Commit(ChannelCommand):
    """End the utterance here (push-to-talk); the channel stays open."""

    type: Literal["commit"] = "commit"


class TtsText(ChannelCommand):
    """The next piece of text to speak."""

    type: Literal["tts.text"] = "tts.text"
    text: Text
    """Appended to the previous piece unchanged: spaces count."""


class Playback(ChannelCommand):
    """How much of the current utterance was played, that is, heard by the user."""

    type: Literal["playback"] = "playback"
    played_ms: Count
    """Position in the utterance, in milliseconds."""
    generation: Generation | None = None
    """Generation of the audio played. A report on a stale generation is ignored."""


class TaskConfirm(NumberedCommand):
    """Answer to `task.confirmation_required`, from any socket of the user."""

    type: Literal["task.confirm"] = "task.confirm"
    confirmation_id: Id
    """From the question."""
    approve: bool
    """True to run the action, false to decline it."""
    channel: ChannelNumber | None = None
    """The channel that asked, if it belongs to this session."""
    action_hash: ActionHash | None = None
    """From the question. An approval with another hash is refused."""


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
