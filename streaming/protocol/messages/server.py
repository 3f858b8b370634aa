"""What a server sends about the session itself: its life, calls, channels and credit."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from streaming.protocol.messages.base import (
    Bytes,
    Channel,
    ChannelEvent,
    Count,
    Encoding,
    Event,
    Id,
    Message,
    Part,
    TurnEvent,
)

# --- of the socket: no number, never replayed ---


class User(Part):
    """Whose session it is."""

    user_id: str
    """The token's subject."""
    username: str | None = None
    """Its name, where the token has one."""
    roles: tuple[str, ...] = ()
    """What the user may do."""


class AudioFormats(Part):
    """What the gateway takes and makes."""

    encodings: tuple[Encoding, ...] = ("pcm_s16le", "mulaw", "alaw", "opus")
    """Names for `encoding`."""
    sample_rates: tuple[int, ...] = (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    """Usual values for `sample_rate` in Hz; any from the lowest to the highest is taken."""


class SessionReady(Message):
    """A session begins, with nothing from before."""

    type: Literal["session.ready"] = "session.ready"
    session_id: str
    """From the address of the socket."""
    epoch: str
    """Names this run of numbers; another epoch shares nothing with it."""
    resume_token: str
    """Proves the right to take this session up again."""
    recovered: Literal[False] = False
    """Nothing was carried over (`session.resumed` says true)."""
    resume_error: Literal["NOT_FOUND", "EXPIRED", "INCOMPLETE"] | None = None
    """Why the resume that the client asked for failed; absent when it asked for none."""
    recording: Literal[True] | None = None
    """The session is written to a file, as the client asked by `?record=true`; absent when it is not."""
    protocol: Literal["jarvis.v1"] = "jarvis.v1"
    """Name and version of the protocol."""
    user: User
    """Its user, as the token says."""
    expires_at: str | None = None
    """When the token expires, RFC 3339."""
    heartbeat_ms: Count
    """Silence after which the other side may be asked for a `pong`."""
    resume_window_ms: Count
    """How long the session waits for its client to come back."""
    limits: dict[str, int | float]
    """Bounds that the client should keep to, by name."""
    services: dict[str, Literal["up", "down"]]
    """Which services answer."""
    engines: dict[str, str] | None = None
    """What does the work, by service, where a service tells it: `{"tts": "hibari (heart)"}`."""
    audio: AudioFormats = AudioFormats()
    """Encodings and rates."""


class SessionResumed(Message):
    """The session goes on: the missed messages follow, then what is new."""

    type: Literal["session.resumed"] = "session.resumed"
    epoch: str
    """As before."""
    recovered: Literal[True] = True
    """Nothing is missing."""
    replayed: Count
    """How many messages and frames are sent again."""
    taken_seq: Count
    """The highest number of the client's commands that was taken; the client sends what is behind it."""
    channels: dict[int, Count]
    """Every open channel that takes audio: the number of the frame expected next. The client sends from there."""


class ServerAck(Message):
    """The client's commands up to `seq` were taken and need not be kept."""

    type: Literal["ack"] = "ack"
    seq: Count
    """The highest number taken."""


class ServerPing(Message):
    """Are you there?"""

    type: Literal["ping"] = "ping"
    t: int | float
    """Any number, to be echoed."""


class ServerPong(Message):
    """Answer to the client's `ping`."""

    type: Literal["pong"] = "pong"
    t: int | float
    """The number from the `ping`."""
    server_time: Count
    """The gateway's clock: milliseconds since 1970."""


class AuthOk(Message):
    """The token was taken."""

    type: Literal["auth.ok"] = "auth.ok"
    id: Id | None = None
    """Of the command."""
    expires_at: str | None = None
    """When it expires, RFC 3339."""


class AuthExpiring(Message):
    """The token expires soon: send `auth.refresh`."""

    type: Literal["auth.expiring"] = "auth.expiring"
    expires_at: str
    """When, RFC 3339."""


class SessionResumable(Message):
    """Where the session can be resumed from now on, and with which token."""

    type: Literal["session.resumable"] = "session.resumable"
    where: Literal["here", "anywhere"]
    """here: at this replica only, as what replicas share is out of reach."""
    resume_token: str
    """In place of the one before."""


class SessionDraining(Message):
    """This gateway is being stopped: come back and resume."""

    type: Literal["session.draining"] = "session.draining"
    reconnect_after_ms: Count
    """Wait so long, so that not everybody comes at once."""


# --- of the session: numbered, replayed ---


class Error(TurnEvent):
    """A command was refused, or something failed; the socket stays."""

    type: Literal["error"] = "error"
    channel: Channel | None = None  # type: ignore[assignment]  # the one event of a channel that may have none
    """The channel it is about, if any."""
    id: Id | None = None
    """Of the command that caused it, where it could be read."""
    code: str
    """From the catalogue, UPPER_SNAKE."""
    message: str
    """For people."""
    retryable: bool = False
    """The same command may succeed later."""
    retry_after_ms: Count | None = None
    """How much later, where that is known."""
    details: dict[str, Any] | None = None
    """What REST's problem document has beside these, for an `error` that answers a `call`."""


class Result(Event):
    """Answer to a `call`."""

    type: Literal["result"] = "result"
    id: Id
    """Of the `call`."""
    data: Any = None
    """What the operation answers over REST."""


class ChannelOpened(ChannelEvent):
    """The channel is open."""

    type: Literal["channel.opened"] = "channel.opened"
    id: Id | None = None
    """Of the `channel.open`."""
    kind: str
    """As asked for."""
    credit: Count
    """Bytes of audio the client may send before it must wait; 0 where the channel takes none."""


class Credit(ChannelEvent):
    """The client may send more audio."""

    type: Literal["credit"] = "credit"
    bytes: Bytes
    """So many more payload bytes."""
    next_frame: Count
    """Frames before this number were taken and need not be kept."""


class ChannelClosed(ChannelEvent):
    """The channel's last message."""

    follows_audio: ClassVar[bool] = True

    type: Literal["channel.closed"] = "channel.closed"
    status: Literal["ok", "cancelled", "error"]
    """How it ended."""
    code: str | None = None
    """From the catalogue, when it ended with an error."""
    message: str | None = None
    """For people."""


# --- observers ---


class ObserveEvent(ChannelEvent):
    """A message of the observed session."""

    type: Literal["observe.event"] = "observe.event"
    direction: Literal["client", "server"]
    """Who sent it."""
    message: Annotated[dict[str, Any], Field()]
    """As it was."""


class ObserveAudio(ChannelEvent):
    """The audio frames that follow come from another channel of the observed session, or are encoded otherwise."""

    follows_audio: ClassVar[bool] = True

    type: Literal["observe.audio"] = "observe.audio"
    direction: Literal["client", "server"]
    """Who speaks."""
    source_channel: Channel
    """The channel over there."""
    encoding: Encoding
    """Of the frames."""
    sample_rate: int
    """Of the frames, in Hz."""


class ObserveDropped(ChannelEvent):
    """The observer was too slow, and this much is missing."""

    type: Literal["observe.dropped"] = "observe.dropped"
    messages: Count
    """Events left out."""
    audio_bytes: Count
    """Audio left out."""
