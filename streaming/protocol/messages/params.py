"""Parameters of each kind of channel."""

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from streaming.protocol.messages.base import (
    OPUS_RATES_HZ,
    ChannelKind,
    Encoding,
    JsonObject,
    Language,
    Name,
    Part,
    SampleRate,
    Text,
)

Vocabulary = Annotated[
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...], Field(max_length=200, strict=False)
]  # not strict: an array of JSON is a list
Speed = Annotated[float, Field(ge=0.25, le=4.0)]


def _check_opus(encoding: str, sample_rate: int | None) -> None:
    if encoding == "opus" and sample_rate is not None and sample_rate not in OPUS_RATES_HZ:
        raise ValueError(f"opus has no rate of {sample_rate} Hz, but {', '.join(map(str, OPUS_RATES_HZ))}")


class MicrophoneParams(Part):
    """How the client's audio is encoded and recognised."""

    language: Language = "en-US"
    """BCP 47 tag of the spoken language."""
    encoding: Encoding = "pcm_s16le"
    """Encoding of the client's frames: 16-bit little-endian PCM, G.711 µ-law or A-law, or Opus with one packet per frame. Mono."""
    sample_rate: SampleRate = 16_000
    """Sample rate of the client's frames, in Hz."""
    interim: bool = True
    """Send `stt.partial` while an utterance is being spoken."""
    endpointing: bool = True
    """End utterances at pauses. False: push-to-talk, ended by `commit` or `channel.end`."""
    vocabulary: Vocabulary = ()
    """Words and phrases that are likely to occur."""

    @model_validator(mode="after")
    def _rate_fits(self) -> Self:
        _check_opus(self.encoding, self.sample_rate)
        return self


class SttParams(MicrophoneParams):
    """A microphone to transcribe."""

    kind: ClassVar[ChannelKind] = "stt"


class TtsParams(Part):
    """Text to speak."""

    kind: ClassVar[ChannelKind] = "tts"

    text: Text | None = None
    """The whole text; omitted if it comes in pieces by `tts.text`, ended by `channel.end`."""
    language: Language = ""
    """BCP 47 tag; empty: the voice's language."""
    voice: Annotated[str, StringConstraints(max_length=64)] = ""
    """Id of a voice; empty: the service's default."""
    speed: Speed = 1.0
    """1 is the voice's natural speed."""
    encoding: Encoding = "pcm_s16le"
    """Encoding of the frames to the client."""
    sample_rate: SampleRate | None = None
    """Sample rate of the frames to the client, in Hz; omitted: the voice's own."""

    @model_validator(mode="after")
    def _rate_fits(self) -> Self:
        _check_opus(self.encoding, self.sample_rate)
        return self


class ExecuteParams(Part):
    """One task of an executor."""

    kind: ClassVar[ChannelKind] = "execute"

    executor: Literal["browser", "os", "search"]
    """The executor that runs it."""
    action: Name
    """The executor's name of the action."""
    parameters: JsonObject = Field(default_factory=dict)
    """The action's parameters, by the executor's schema."""
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] | None = None
    """Stop the task after this time; omitted: the executor's own limit."""


class TurnParams(MicrophoneParams):
    """The whole agent: speech (or one text) in, speech or text out."""

    kind: ClassVar[ChannelKind] = "turn"

    text: Text | None = None
    """Instead of a microphone: one turn with this text, after which the channel closes."""
    reply: Literal["audio", "text"] = "audio"
    """Spoken or only written answers."""
    voice: Annotated[str, StringConstraints(max_length=64)] = ""
    """Voice of the answers; empty: the service's default."""
    speed: Speed = 1.0
    """Speed of the answers; 1 is the voice's natural speed."""
    reply_encoding: Encoding = "pcm_s16le"
    """Encoding of the frames to the client."""
    reply_sample_rate: SampleRate | None = None
    """Sample rate of the frames to the client, in Hz; omitted: the voice's own."""
    time_zone: Annotated[str, StringConstraints(max_length=64)] = ""
    """IANA name of the user's time zone, for answers about time; empty: the gateway's own."""
    echo_cancellation: bool = False
    """Remove the reply's own sound from the microphone also if no `playback` is sent, as if it were played at once. Else by `playback` only."""
    wake_word: Literal["", "hey_jarvis"] = ""
    """Hear nothing until this was said, and again when nobody has spoken for 8 s. Empty: hear everything."""

    @model_validator(mode="after")
    def _reply_rate_fits(self) -> Self:
        _check_opus(self.reply_encoding, self.reply_sample_rate)
        return self


class ObserveParams(Part):
    """A read-only copy of another session."""

    kind: ClassVar[ChannelKind] = "observe"

    session_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """The session to observe."""
    audio: bool = False
    """Copy its audio too, in both directions."""


ChannelParams = SttParams | TtsParams | ExecuteParams | TurnParams | ObserveParams
