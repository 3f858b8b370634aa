"""The fields of the Live API's client events. Unknown ones are refused, as the API does."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field

from streaming.openai.mistakes import MistakeError, one_of, wrong
from streaming.openai.schema import Fields, check

MAX_CONTENT_CHARS = 4_000  # of appended context: some 500 tokens
MAX_INSTRUCTIONS_CHARS = 65_536
MAX_ITEMS = 128
MAX_DELAY_MS = 60_000
RATES_HZ = {"audio/pcm": (24_000, 16_000), "audio/pcmu": (8_000,), "audio/pcma": (8_000,)}


class _Output(Fields):
    voice: Any = None


class _Audio(Fields):
    format: dict[str, Any] | None = None
    output: _Output | None = None


class _Words(Fields):
    type: Literal["input_text"] = "input_text"
    text: str = Field(min_length=1)


class _ReplyWords(Fields):
    type: Literal["text", "output_text"] = "text"
    text: str = Field(min_length=1)


class _Item(Fields):
    type: Literal["message"] = "message"
    id: str | None = None
    status: Literal["incomplete", "completed"] | None = None


class _Message(_Item):
    role: Literal["developer", "user"]
    content: list[_Words] = Field(min_length=1, max_length=1)


class _Reply(_Item):
    role: Literal["assistant"]
    content: list[_ReplyWords] = Field(min_length=1, max_length=1)


class _Delegation(Fields):
    type: Literal["client"]
    acknowledgement_delay_ms: int | None = Field(None, ge=0, le=MAX_DELAY_MS)


class _Session(Fields):
    model: str = Field(min_length=1, max_length=128)
    audio: _Audio | None = None
    delegation: _Delegation | None = None
    input: list[Annotated[_Message | _Reply, Field(discriminator="role")]] | None = Field(None, max_length=MAX_ITEMS)
    instructions: str | None = Field(None, max_length=MAX_INSTRUCTIONS_CHARS)
    safety_identifier: str | None = Field(None, max_length=256)
    store: Literal[False] | None = None
    triggers: list[Any] | None = Field(None, max_length=0)
    client: Any = None  # see `_check_supported`


class _Start(Fields):
    session: _Session


class _Change(Fields):
    delegation: _Delegation | None = None
    triggers: list[Any] | None = Field(None, max_length=0)


class _Update(Fields):
    session: _Change


class _Append(Fields):
    content: str = Field(min_length=1, max_length=MAX_CONTENT_CHARS)
    delegation_id: str | None


class _Bare(Fields):
    pass


def check_start(fields: dict[str, Any]) -> dict[str, Any]:
    """Check a `session.start`; returns its session, with the audio format completed. Raises MistakeError."""
    _check_supported(fields.get("session"))
    check(_Start, fields, "")
    session: dict[str, Any] = dict(fields["session"])
    form = (session.get("audio") or {}).get("format")
    if form is not None:
        _check_format(form)
    return session


def check_update(fields: dict[str, Any]) -> dict[str, Any]:
    """Check a `session.update`; returns its session. Raises MistakeError."""
    _check_supported(fields.get("session"))
    check(_Update, fields, "")
    session: dict[str, Any] = fields["session"]
    return session


def check_append(fields: dict[str, Any]) -> tuple[str, str | None]:
    """Check appended context; returns its content and delegation id. Raises MistakeError."""
    check(_Append, fields, "")
    return fields["content"], fields["delegation_id"]


def check_sound(fields: dict[str, Any]) -> None:
    """Check the fields of an audio append, cheaply because there are many per second. Raises MistakeError."""
    unknown = next((name for name in fields if name != "audio"), None)
    if unknown is not None:
        raise MistakeError("unknown_parameter", f"Unknown parameter: '{unknown}'.", unknown)


def check_bare(fields: dict[str, Any]) -> None:
    """Check an event that has no fields. Raises MistakeError."""
    check(_Bare, fields, "")


def _check_supported(session: Any) -> None:
    """Refuse by name what the API has and this server does not."""
    if not isinstance(session, dict):
        return  # refused by the model
    delegation = session.get("delegation")
    kind = delegation.get("type") if isinstance(delegation, dict) else None
    if one_of(kind, ("responses", "decisions")):
        raise MistakeError(
            "unsupported_value", f"tasks are delegated to the client here, not to {kind}", "session.delegation.type"
        )
    if session.get("client") is not None:
        raise MistakeError("unsupported_value", "there is no WebRTC, which 'client' is for", "session.client")


def _check_format(form: dict[str, Any]) -> None:
    where = "session.audio.format"
    kind = form.get("type")
    if not one_of(kind, RATES_HZ):
        raise wrong(f"{where}.type", f"Supported values are: {', '.join(RATES_HZ)}.")
    if form.get("rate", RATES_HZ[kind][0]) not in RATES_HZ[kind]:
        raise wrong(f"{where}.rate", f"Supported rates of {kind} are: {', '.join(map(str, RATES_HZ[kind]))}.")
    unknown = next(iter(set(form) - {"type", "rate"}), None)
    if unknown is not None:
        raise MistakeError("unknown_parameter", f"Unknown parameter: '{where}.{unknown}'.", f"{where}.{unknown}")
    form.setdefault("rate", RATES_HZ[kind][0])
