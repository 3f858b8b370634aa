"""Turns a message's text into a validated command, or into the error that answers it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from streaming.flaws import MOST_NAMES, has_too_many_names
from streaming.protocol.close_codes import CloseCode
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.messages import CLIENT_MESSAGES
from streaming.strict_json import (
    NotJsonError,
    TooManyValuesError,
    UnsafeJsonError,
    can_be_sent,
    parse_object,
)

if TYPE_CHECKING:
    from pydantic_core import ErrorDetails

    from streaming.protocol.limits import Limits
    from streaming.protocol.messages import ClientMessage

MAX_ID_CHARS = 64
_UTF8_MAX = 4  # bytes of one character

# What pydantic says of Python's types, in JSON's words.
_JSON_WORDS = {
    "dict_type": "Input should be an object",
    "model_type": "Input should be an object",
    "tuple_type": "Input should be a valid array",
}

# Messages of the socket, which have no sequence number of their own (the `seq` of an `ack` is that of another message).
UNNUMBERED = frozenset({"session.resume", "auth", "auth.refresh", "ack", "ping", "pong"})


@dataclass(frozen=True, slots=True)
class Parsed:
    """A parsed text message. `flaw`: what is wrong with its JSON, if anything."""

    fields: dict[str, Any]
    flaw: str | None = None

    @property
    def type(self) -> str:
        """The message's type; empty if it has none."""
        kind = self.fields.get("type")
        return kind if isinstance(kind, str) else ""

    @property
    def number(self) -> int | None:
        """The message's number among the session's commands, if it has one."""
        seq = self.fields.get("seq")
        return seq if type(seq) is int and seq > 0 and self.type not in UNNUMBERED else None

    @property
    def id(self) -> str | None:
        """The message's id, if it has one that may be echoed."""
        command_id = self.fields.get("id")
        if not isinstance(command_id, str) or not 0 < len(command_id) <= MAX_ID_CHARS:
            return None
        return command_id if can_be_sent(command_id) else None

    @property
    def channel(self) -> int | None:
        """The message's channel, if it has one."""
        channel = self.fields.get("channel")
        return channel if type(channel) is int else None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a message is refused with an error."""

    code: str
    message: str


def _is_larger(text: str, n_bytes: int) -> bool:
    """True if the text has more bytes. It is only encoded to count them if it has to be."""
    if text.isascii():
        return len(text) > n_bytes
    return len(text) * _UTF8_MAX > n_bytes and len(text.encode("utf-8", "surrogatepass")) > n_bytes


def n_commas(text: str, least: int) -> int:
    """How many commas are in the text; 0 if they are fewer than `least`, which takes a tenth of the time to find."""
    at = -1
    for _ in range(least):
        at = text.find(",", at + 1)
        if at < 0:
            return 0
    return text.count(",")


def parse(text: str, limits: Limits) -> Parsed:
    """Parse a text message. Raises RemoteProtocolError: 1009 if it is too big or has too many values, 1007 if not a JSON object."""
    if _is_larger(text, limits.text_bytes):
        raise RemoteProtocolError(CloseCode.MESSAGE_TOO_BIG, f"a text message may have {limits.text_bytes} bytes")
    try:
        return Parsed(parse_object(text, limits.json_depth, limits.text_values))
    except TooManyValuesError as error:
        message = f"a text message may have {limits.text_values} values"
        raise RemoteProtocolError(CloseCode.MESSAGE_TOO_BIG, message) from error
    except UnsafeJsonError as error:
        return Parsed(error.fields, str(error))
    except NotJsonError as error:
        raise RemoteProtocolError(CloseCode.INVALID_PAYLOAD, str(error)) from error


def validate(parsed: Parsed) -> ClientMessage | Refusal:
    """The command, or why it is refused."""
    if parsed.flaw is not None:
        return Refusal("INVALID_JSON", parsed.flaw)
    opens = parsed.type == "channel.open"  # whose `params` are a part of the message
    if has_too_many_names(parsed.fields) or (opens and has_too_many_names(parsed.fields.get("params"))):
        return Refusal("INVALID_FIELD", f"more than {MOST_NAMES} fields")
    try:
        return CLIENT_MESSAGES.validate_python(parsed.fields)
    except ValidationError as error:
        return _explain(error.errors(include_url=False, include_input=False)[0], parsed)


def _explain(details: ErrorDetails, parsed: Parsed) -> Refusal:
    """A refusal that names the field."""
    if details["type"].startswith("union_tag") and not details["loc"]:
        return Refusal("UNKNOWN_TYPE", f"no command of type {parsed.type!r}" if parsed.type else "`type` is missing")
    # The first part of `loc` is the union's member; for `channel.open`, so is the second.
    tags = 2 if parsed.type == "channel.open" else 1
    field = ".".join(str(part) for part in details["loc"][tags:])
    wrong = _JSON_WORDS.get(details["type"], details["msg"])
    return Refusal("INVALID_FIELD", f"{field}: {wrong}" if field else wrong)
