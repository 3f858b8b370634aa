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
    tuple[Annotated[str, StringConstraints(min_length=1, max_length=64)], ...], Field(max_length=200)
]
Speed = Annotated[float, Field(ge=0.25, le=4.0)]


def _check_opus(encoding: str, sample_rate: int | None) -> None:
    if encoding == "opus" and sample_rate is not None and sample_rate not in OPUS_RATES_HZ:
        raise ValueError(f"opus has no rate of {sample_rate} Hz, but {', '.join(map(str, OPUS_RATES_HZ))}")


class MicrophoneParams(Part):
    """How the client's audio is encoded and to be understood."""

    language: Language = "en-US"
    """BCP 47 tag of the language spoken."""
    encoding: Encoding = "pcm_s16le"
    """Of the client's frames: 16-bit little-endian PCM, G.711 µ-law or A-law, or Opus with one packet a frame. Mono."""
    sample_rate: SampleRate = 16_000
    """Of the client's frames, in Hz."""
    interim: bool = True
    """Send `stt.partial` while an utterance is spoken."""
    endpointing: bool = True
    """Find the end of an utterance by its pauses; false: push-to-talk, ended by `commit` or `channel.end`."""
    vocabulary: Vocabulary = ()
    """Words and phrases that are likely."""

    @model_validator(mode="after")
    def _rate_fits(self) -> Self:
        _check_opus(self.encoding, self.sample_rate)
        return self


class SttParams(MicrophoneParams):
    """A microphone, transcribed."""

    kind: ClassVar[ChannelKind] = "stt"


class TtsParams(Part):
    """Text, spoken."""

    kind: ClassVar[ChannelKind] = "tts"

    text: Text | None = None
    """All that is to be said; left out when it comes in pieces by `tts.text`, ended by `channel.end`."""
    language: Language = ""
    """BCP 47 tag; empty: that of the voice."""
    voice: Annotated[str, StringConstraints(max_length=64)] = ""
    """A voice's id; empty: the service's own choice."""
    speed: Speed = 1.0
    """1 is the voice's own speed."""
    encoding: Encoding = "pcm_s16le"
    """Of the frames to the client."""
    sample_rate: SampleRate | None = None
    """Of the frames to the client, in Hz; left out: the voice's own."""

    @model_validator(mode="after")
    def _rate_fits(self) -> Self:
        _check_opus(self.encoding, self.sample_rate)
        return self


class ExecuteParams(Part):
    """One task of an executor."""

    kind: ClassVar[ChannelKind] = "execute"

    executor: Literal["browser", "os", "search"]
    """Who does it."""
    action: Name
    """What, by the executor's own name for it."""
    parameters: JsonObject = Field(default_factory=dict)
    """With what, as the executor's schema of the action says."""
    timeout_ms: Annotated[int, Field(ge=1, le=600_000)] | None = None
    """Stop it after so long; left out: the executor's own limit."""


class TurnParams(MicrophoneParams):
    """The whole agent: speech (or one text) in, speech or text out."""

    kind: ClassVar[ChannelKind] = "turn"

    text: Text | None = None
    """Instead of a microphone: one turn about this text, then the channel closes."""
    reply: Literal["audio", "text"] = "audio"
    """Spoken answers, or only written ones."""
    voice: Annotated[str, StringConstraints(max_length=64)] = ""
    """The voice of the answers; empty: the service's own choice."""
    speed: Speed = 1.0
    """Of the answers; 1 is the voice's own."""
    reply_encoding: Encoding = "pcm_s16le"
    """Of the frames to the client."""
    reply_sample_rate: SampleRate | None = None
    """Of the frames to the client, in Hz; left out: the voice's own."""
    time_zone: Annotated[str, StringConstraints(max_length=64)] = ""
    """IANA name of where the user is, for answers about time; empty: the gateway's own."""
    echo_cancellation: bool = False
    """Take the reply's own sound out of the microphone: for clients that cannot, and report `playback`."""

    @model_validator(mode="after")
    def _reply_rate_fits(self) -> Self:
        _check_opus(self.reply_encoding, self.reply_sample_rate)
        return self


class ObserveParams(Part):
    """A read-only copy of another session."""

    kind: ClassVar[ChannelKind] = "observe"

    session_id: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    """Whose."""
    audio: bool = False
    """Its audio too, both directions."""


ChannelParams = SttParams | TtsParams | ExecuteParams | TurnParams | ObserveParams
