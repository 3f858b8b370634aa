"""What a server sends about the session itself: start and resume, calls, channels and credit."""

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from streaming.protocol.messages.base import (
    Bytes,
    ChannelEvent,
    ChannelNumber,
    Count,
    Encoding,
    Id,
    Message,
    NumberedEvent,
    Part,
    TurnEvent,
)

# --- of the socket: neither numbered nor replayed ---


class User(Part):
    """The session's user."""

    user_id: str
    """The token's subject."""
    username: str | None = None
    """The user's name, if the token has one."""
    roles: tuple[str, ...] = ()
    """The user's roles."""


class AudioFormats(Part):
    """Audio formats that the gateway accepts and produces."""

    encodings: tuple[Encoding, ...] = ("pcm_s16le", "mulaw", "alaw", "opus")
    """Values for `encoding`."""
    sample_rates: tuple[int, ...] = (8_000, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
    """Usual values for `sample_rate` in Hz; any rate between the lowest and the highest is accepted."""


class SessionReady(Message):
    """A new session begins; nothing of an earlier one is kept."""

    type: Literal["session.ready"] = "session.ready"
    session_id: str
    """From the address of the socket."""
    epoch: str
    """Name of this sequence of numbers; nothing is shared with another epoch."""
    resume_token: str
    """Token that allows this session to be resumed."""
    recovered: Literal[False] = False
    """False: nothing was recovered (`session.resumed` has true)."""
    resume_error: Literal["NOT_FOUND", "EXPIRED", "INCOMPLETE"] | None = None
    """Why the requested resume failed; absent if none was requested."""
    recording: Literal[True] | None = None
    """The session is being recorded to a file, as requested by `?record=true`; absent if not."""
    protocol: Literal["jarvis.v1"] = "jarvis.v1"
    """Name and version of the protocol."""
    user: User
    """The session's user, from the token."""
    expires_at: str | None = None
    """When the token expires, RFC 3339."""
    heartbeat_ms: Count
    """Silence after which either side may ask the other for a `pong`."""
    resume_window_ms: Count
    """How long the session waits for its client to reconnect."""
    limits: dict[str, int | float]
    """Limits that the client should respect, by name."""
    services: dict[str, Literal["up", "down"]]
    """State of each service."""
    engines: dict[str, str] | None = None
    """What does the work, by service, if the service reports it: `{"tts": "hibari (heart)"}`."""
    audio: AudioFormats = AudioFormats()
    """Supported encodings and rates."""


class SessionResumed(Message):
    """The session was resumed: the missed messages follow, then new ones."""

    type: Literal["session.resumed"] = "session.resumed"
    epoch: str
    """The epoch, unchanged."""
    recovered: Literal[True] = True
    """True: nothing is missing."""
    replayed: Count
    """How many messages and frames are sent again."""
    taken_seq: Count
    """The highest number of the client's commands that was taken. The client sends those after it again."""
    channels: dict[int, Count]
    """By open channel that takes audio: the number of the next expected frame. The client sends again from there."""


class ServerAck(Message):
    """The client's commands up to `seq` were taken and need not be kept."""

    type: Literal["ack"] = "ack"
    seq: Count
    """The highest number taken."""


class ServerPing(Message):
    """Asks the client for a `pong`."""

    type: Literal["ping"] = "ping"
    t: int | float
    """Any number, echoed."""


class ServerPong(Message):
    """Answers the client's `ping`."""

    type: Literal["pong"] = "pong"
    t: int | float
    """The number from the `ping`."""
    server_time: Count
    """The gateway's clock, in milliseconds since 1970."""


class AuthOk(Message):
    """The new token was accepted."""

    type: Literal["auth.ok"] = "auth.ok"
    id: Id | None = None
    """Id of the command."""
    expires_at: str | None = None
    """When the token expires, RFC 3339."""


class AuthExpiring(Message):
    """The token expires soon: send `auth.refresh`."""

    type: Literal["auth.expiring"] = "auth.expiring"
    expires_at: str
    """When it expires, RFC 3339."""


class SessionResumable(Message):
    """Where the session can be resumed from now on, and by which token."""

    type: Literal["session.resumable"] = "session.resumable"
    where: Literal["here", "anywhere"]
    """here: on this replica only, because the store shared by replicas is out of reach."""
    resume_token: str
    """Replaces the previous token."""


class SessionDraining(Message):
    """This gateway is shutting down: reconnect and resume."""

    type: Literal["session.draining"] = "session.draining"
    reconnect_after_ms: Count
    """Time to wait before, so that not all clients reconnect at once."""


# --- of the session: numbered, replayed ---


class Error(TurnEvent):
    """A command was refused, or something failed. The socket stays open."""

    type: Literal["error"] = "error"
    channel: ChannelNumber | None = None  # type: ignore[assignment]  # the one event of a channel that may have none
    """The channel it is about, if any."""
    id: Id | None = None
    """Id of the command that caused it, if it could be read."""
    code: str
    """Code from the catalogue, in UPPER_SNAKE."""
    message: str
    """Text for people."""
    retryable: bool = False
    """The same command may succeed later."""
    retry_after_ms: Count | None = None
    """When to retry, if known."""
    details: dict[str, Any] | None = None
    """The other members of REST's problem document, in an `error` that answers a `call`."""


class Result(NumberedEvent):
    """Answers a `call`."""

    type: Literal["result"] = "result"
    id: Id
    """Id of the `call`."""
    data: Any = None
    """The operation's answer, as over REST."""


class ChannelOpened(ChannelEvent):
    """The channel is open."""

    type: Literal["channel.opened"] = "channel.opened"
    id: Id | None = None
    """Id of the `channel.open`."""
    kind: str
    """The requested kind."""
    credit: Count
    """Bytes of audio that the client may send before it must wait; 0 if the channel takes none."""


class Credit(ChannelEvent):
    """The client may send more audio."""

    type: Literal["credit"] = "credit"
    bytes: Bytes
    """Additional payload bytes."""
    next_frame: Count
    """Frames before this number were taken and need not be kept."""


class ChannelClosed(ChannelEvent):
    """The last message of a channel."""

    follows_audio: ClassVar[bool] = True

    type: Literal["channel.closed"] = "channel.closed"
    status: Literal["ok", "cancelled", "error"]
    """How the channel ended."""
    code: str | None = None
    """Code from the catalogue, if it ended with an error."""
    message: str | None = None
    """Text for people."""


# --- observers ---


class ObserveEvent(ChannelEvent):
    """A message of the observed session."""

    type: Literal["observe.event"] = "observe.event"
    direction: Literal["client", "server"]
    """Which side sent it."""
    message: Annotated[dict[str, Any], Field()]
    """The original message."""


class SeenEvent(ChannelEvent):
    """An `observe.event` as the server writes it, from text that it has checked."""

    type: Literal["observe.event"] = "observe.event"
    direction: Literal["client", "server"]
    text: str
    """The original message, in JSON."""

    def to_json(self) -> str:
        """What a client reads as an ObserveEvent."""
        head = f'{{"type":"{self.type}","channel":{self.channel},"direction":"{self.direction}"'
        return f'{head},"message":{self.text}}}'


class ObserveAudio(ChannelEvent):
    """The next audio frames come from another channel of the observed session, or have another encoding."""

    follows_audio: ClassVar[bool] = True

    type: Literal["observe.audio"] = "observe.audio"
    direction: Literal["client", "server"]
    """Which side sent the audio."""
    source_channel: ChannelNumber
    """The channel in the observed session."""
    encoding: Encoding
    """Encoding of the frames."""
    sample_rate: int
    """Sample rate of the frames, in Hz."""


class ObserveDropped(ChannelEvent):
    """The observer was too slow; some events or audio are missing."""

    type: Literal["observe.dropped"] = "observe.dropped"
    messages: Count
    """Number of missing events."""
    audio_bytes: Count
    """Bytes of missing audio."""
