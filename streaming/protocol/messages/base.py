"""What all messages share: strictness, and the field types with their limits."""

from collections.abc import Iterator
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints

from streaming.strict_json import MAX_SAFE_INTEGER

Id = Annotated[str, StringConstraints(min_length=1, max_length=64)]
ActionHash = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Name = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Token = Annotated[str, StringConstraints(min_length=1, max_length=8192)]
Language = Annotated[str, StringConstraints(max_length=35, pattern=r"^([A-Za-z]{2,8}(-[A-Za-z0-9]{1,8})*)?$")]
Text = Annotated[str, StringConstraints(min_length=1, max_length=20_000)]
ChannelNumber = Annotated[int, Field(ge=1, le=65_535)]
ChannelKind = Literal["stt", "tts", "execute", "turn", "observe"]
Encoding = Literal["pcm_s16le", "mulaw", "alaw", "opus"]
SampleRate = Annotated[int, Field(ge=8_000, le=48_000)]
Count = Annotated[int, Field(ge=0, le=MAX_SAFE_INTEGER)]
Bytes = Annotated[int, Field(ge=1, le=2**31 - 1)]
Generation = Annotated[int, Field(ge=0, le=2**32 - 1)]
Confidence = Annotated[float, BeforeValidator(lambda share: _clamped(share, 1.0)), Field(ge=0.0, le=1.0)]
Percent = Annotated[float, BeforeValidator(lambda share: _clamped(share, 100.0)), Field(ge=0.0, le=100.0)]
JsonObject = dict[str, Any]
MAX_SHOWN = 200  # characters of a field in `repr`


def _clamped(share: object, most: float) -> object:
    """Clamp a share that a service rounded or miscounted: an utterance must not fail for it."""
    return min(max(share, 0.0), most) if isinstance(share, float) else share


OPUS_RATES_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)  # RFC 6716 section 2.1.3


class Part(BaseModel):
    """Anything inside a message."""

    model_config = ConfigDict(
        extra="forbid", strict=True, frozen=True, allow_inf_nan=False, use_attribute_docstrings=True, defer_build=True
    )


def _describe_type(schema: JsonObject) -> None:
    """Restore the description of `type`, which a message loses by narrowing the field."""
    schema["properties"]["type"]["description"] = "The type of the message."


class Message(Part):
    """One text message."""

    model_config = ConfigDict(json_schema_extra=_describe_type)

    follows_audio: ClassVar[bool] = False  # True: the message keeps its place behind the channel's queued audio

    type: str
    """The type of the message."""

    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        """The fields to show: without `type`, which the class name tells, and without empty fields."""
        said = ((name, value) for name, value in super().__repr_args__() if name != "type" and value is not None)
        return ((name, _shortened(value)) for name, value in said)

    def __str__(self) -> str:
        return repr(self)


def _shortened(value: object) -> object:
    """Shorten long values, such as a screenshot in a result, to keep the repr on one line."""
    text = repr(value)
    return _Plain(f"{text[:MAX_SHOWN]}…") if len(text) > MAX_SHOWN else value


class _Plain(str):
    """Text whose repr is the text itself."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Command(Message):
    """A message from the client."""

    id: Id | None = None
    """Echoed in the answer or error. A repeated command is recognised by it."""


class NumberedCommand(Command):
    """A command of the session: taken once, over whichever sockets it is sent."""

    seq: Count | None = None
    """Number of this command in the epoch, from 1, without gaps. Omitted by clients that never send anything twice."""


class ChannelCommand(NumberedCommand):
    """A command for an open channel."""

    channel: ChannelNumber
    """The channel it is for."""


class NumberedEvent(Message):
    """A message from the server that is part of the session: numbered when it is sent, replayed after a resume."""

    seq: Count | None = None
    """Number in the session's sequence, shared with the audio frames. Assigned when the message is sent."""


class ChannelEvent(NumberedEvent):
    """An event about one channel."""

    channel: ChannelNumber
    """The channel it is about."""


class TurnEvent(ChannelEvent):
    """An event that may belong to one turn of a `turn` channel."""

    turn_id: Id | None = None
    """The turn it belongs to, if any."""
