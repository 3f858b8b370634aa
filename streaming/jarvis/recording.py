"""The file format of recorded sessions, for bug reports, regression tests and the load generator. The console uses it too.

JSON lines (UTF-8). The first is the head, `{"type":"jarvis.recording","version":1,"protocol":"jarvis.v1","started_at":…}`, with
started_at in RFC 3339 and any further fields of the writer. Every other line is one item that crossed the wire, in order:

    {"at_ms":12.3,"direction":"out","message":{…}}     a text message; out: from the client, in: from the gateway
    {"at_ms":20.1,"direction":"in","frame":"AQAAAQ…"}  a frame, header and audio, in base64 (RFC 4648 section 4)
    {"at_ms":31.0,"direction":"local","message":{…}}   added by the recorder: `recording.dropped`, `recording.ended`, events of a page

Audio is in the lines, so that a recording is a single file that any line reader opens. This takes a third more than the frames.
Tokens, passwords and what opens the servers of `mcp` tools are removed. So is what an observing channel was told, because nobody in the other session consented.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

from streaming.protocol import frame as wire_frame
from streaming.protocol.errors import RemoteProtocolError
from streaming.redaction import hide
from streaming.rfc3339 import rfc3339
from streaming.strict_json import MAX_VALUES, NotJsonError, UnsafeJsonError, parse_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

FORM = "jarvis.recording"
VERSION = 1
LONGEST_MS = 3_600_000  # the console opens nothing longer
MAX_DEPTH = 64  # nesting of a message, as deep as clients accept
MOST_LINES = 1_000_000  # an hour of talking both ways has a third of it
# Type of an entry that is no valid message or frame, or has more values than a client's may.
UNREADABLE = "(unreadable)"

Direction = Literal["out", "in", "local"]


class RecordingError(Exception):
    """The file is not a recording, or is damaged; one line that says where."""


@dataclass(frozen=True, slots=True)
class RecordingEntry:
    """One line of a recording: a message, or a frame as on the wire. `at_ms`: since the recording began."""

    at_ms: float
    direction: Direction
    message: dict[str, Any] | None = None
    frame: bytes | None = None

    @property
    def type(self) -> str:
        """The message's type; `audio` for a frame."""
        return "audio" if self.message is None else str(self.message["type"])


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read."""

    name: str
    head: dict[str, Any]
    entries: tuple[RecordingEntry, ...]


# --- writing ---


def head_line(started_at: float, **about: Any) -> str:
    """The first line. `started_at`: seconds since 1970."""
    at = rfc3339(started_at, milliseconds=True)
    return _line({"type": FORM, "version": VERSION, "protocol": "jarvis.v1", "started_at": at, **about})


def entry_line(entry: RecordingEntry) -> str:
    """Any line but the first."""
    head = {"at_ms": round(entry.at_ms, 1), "direction": entry.direction}
    if entry.frame is not None:
        return _line(head | {"frame": b64encode(entry.frame).decode("ascii")})
    return _line(head | {"message": entry.message})


def _line(fields: dict[str, Any]) -> str:
    return json.dumps(fields, separators=(",", ":"), allow_nan=False) + "\n"


class Scribe:
    """Selects what to keep of one session's wire."""

    def __init__(self) -> None:
        self._observing: set[int] = set()  # channels that observe another session

    def entry(self, at_ms: float, direction: Direction, data: str | bytes) -> RecordingEntry | None:
        """The entry of one item from the wire; None to leave it out."""
        return self._frame(at_ms, direction, data) if isinstance(data, bytes) else self._text(at_ms, direction, data)

    def _frame(self, at_ms: float, direction: Direction, data: bytes) -> RecordingEntry | None:
        try:
            channel = wire_frame.decode(data).channel
        except RemoteProtocolError:
            return RecordingEntry(at_ms, direction, {"type": UNREADABLE, "bytes": len(data)})
        return None if channel in self._observing else RecordingEntry(at_ms, direction, frame=data)

    def _text(self, at_ms: float, direction: Direction, text: str) -> RecordingEntry | None:
        try:
            message = parse_object(text, MAX_DEPTH, len(text) if direction == "in" else MAX_VALUES)
        except (NotJsonError, UnsafeJsonError):
            return RecordingEntry(at_ms, direction, {"type": UNREADABLE, "characters": len(text)})
        kind = message.get("type")
        if not isinstance(kind, str):
            return RecordingEntry(at_ms, direction, {"type": UNREADABLE, "characters": len(text)})
        if kind == "channel.open" and message.get("kind") == "observe" and isinstance(message.get("channel"), int):
            self._observing.add(message["channel"])
        if direction == "in" and kind.startswith("observe."):
            return None
        hide(message)
        return RecordingEntry(at_ms, direction, message)


# --- reading ---


def read(lines: Iterable[str], name: str) -> Recording:
    """Read a recording from its lines. Raises RecordingError."""
    numbered = _numbered(lines, name)
    _, first = next(numbered, (1, ""))
    head = _head(first, name)
    return Recording(name, head, tuple(_entry(line, number, name) for number, line in numbered if line.strip()))


def _numbered(lines: Iterable[str], name: str) -> Iterator[tuple[int, str]]:
    """A pipe may never end, and all that is read is kept in memory."""
    for number, line in enumerate(lines, 1):
        if number > MOST_LINES:
            raise RecordingError(f"{name} has more than {MOST_LINES} lines")
        yield number, line


def _head(line: str, name: str) -> dict[str, Any]:
    try:
        head = json.loads(line)
    except (ValueError, RecursionError):
        head = None
    if not isinstance(head, dict) or head.get("type") != FORM:
        raise RecordingError(f"{name} is not a recording of a session: its first line is not a {FORM}")
    if head.get("version") != VERSION:
        raise RecordingError(f"{name} is of version {head.get('version')!r}: this gateway reads {VERSION}")
    return head


def _entry(line: str, number: int, name: str) -> RecordingEntry:
    try:
        fields = json.loads(line)
    except (ValueError, RecursionError):
        cut = "" if line.endswith("\n") else ": the file was cut off there"
        raise RecordingError(f"{name}, line {number}: not JSON{cut}") from None
    if not isinstance(fields, dict):
        raise RecordingError(f"{name}, line {number}: not a JSON object")
    at_ms, message = fields.get("at_ms"), fields.get("message")
    direction: Any = fields.get("direction")
    if isinstance(at_ms, bool) or not isinstance(at_ms, int | float):
        raise RecordingError(f"{name}, line {number}: at_ms is not a number")
    if not 0 <= at_ms <= LONGEST_MS:
        raise RecordingError(f"{name}, line {number}: at_ms is not within an hour")
    if direction not in get_args(Direction):
        raise RecordingError(f"{name}, line {number}: no direction")
    if "frame" in fields:
        return RecordingEntry(at_ms, direction, frame=_decoded(fields["frame"], number, name))
    if not isinstance(message, dict) or not isinstance(message.get("type"), str):
        raise RecordingError(f"{name}, line {number}: neither a message nor a frame")
    return RecordingEntry(at_ms, direction, message)


def _decoded(text: object, number: int, name: str) -> bytes:
    try:
        data = b64decode(text if isinstance(text, str) else "-", validate=True)
        wire_frame.decode(data)
    except (binascii.Error, ValueError, RemoteProtocolError):
        raise RecordingError(f"{name}, line {number}: the frame is damaged") from None
    return data
