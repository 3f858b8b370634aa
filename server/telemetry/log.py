"""JSON logs: one line per request and per closed socket, with request, trace, user and session.

Transcripts, audio and tokens never appear in log text; values that look like one are redacted all the same. Records of the
standard library's loggers (tornado, grpc, asyncio) become the same lines.
"""

from __future__ import annotations

import asyncio
import atexit
import json
import logging
import re
import sys
import time
from collections import deque
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, TextIO

import structlog
from pydantic_core import PydanticSerializationError, to_json

from streaming.secret_fields import is_secret_field

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor, WrappedLogger

# The log hides each name with such a word in it: nobody needs more of them than these two.
SECRET_WORDS = ("token", "password", "secret", "authorization", "ticket", "cookie", "api_key", "credential")
NAMES_OF_SECRETS = frozenset({"token_id", "token_type"})  # these name a token but grant nothing
SPOKEN = frozenset({"text", "transcript", "utterance", "audio", "pcm"})
BLANK = "[redacted]"
# Of a record of the standard library; what else it carries is left out
CALLER = frozenset({"request_id", "session", "user"})
_LEVEL_NAMES = {number: name.lower() for name, number in logging.getLevelNamesMapping().items()}

# What third-party messages may quote: JWTs, credentials of a header, the query of a URL, secrets in a form, pydantic's input.
_QUOTED = re.compile(
    r"eyJ[\w-]{5,}\.[\w-]+\.[\w-]*"
    r"|(?P<scheme>\b(?:bearer|basic)\s+|jarvis\.bearer\.)[^\s,\"']+"
    r"|(?P<query>/[^\s?/\"']*\?)[^\s\"']+"
    r"|(?P<name>(?:token|ticket|resume|password|secret|api_?key|credential|signature|authorization)=)[^&\s\"']+"
    r"|(?P<field>[?&](?:code|key|sig|auth)=)[^&\s\"']+"
    r"|(?P<given>\binput_value=).+(?=, input_type=)"
    r"|(?P<url>\b\w[\w+.-]*://[^\s/@:]*:)[^\s/@]+(?=@)",
    re.IGNORECASE,
)
# Every match of the expression above contains one of these, so most lines skip the expression.
_HINTS = ("eyJ", "earer", "EARER", "asic", "=", "://", "?")


# Would begin another line or steer a terminal; surrogates cannot be written at all.
_UNPRINTABLE = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_SURROGATES = re.compile("[\ud800-\udfff]")
_TRACEBACKS = frozenset({"exception", "stack"})  # of several lines, and ours


def _blank_quoted(found: re.Match[str]) -> str:
    return f"{next((kept for kept in found.groups() if kept), '')}{BLANK}"


def _clean_text(text: str) -> str:
    return _QUOTED.sub(_blank_quoted, text) if any(hint in text for hint in _HINTS) else text


def _is_secret(key: str) -> bool:
    lower = key.lower()
    if lower in SPOKEN or is_secret_field(key):
        return True
    return lower not in NAMES_OF_SECRETS and any(word in lower for word in SECRET_WORDS)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _clean_text(value)
    if isinstance(value, dict):
        return {key: BLANK if _is_secret(str(key)) else _clean(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(item) for item in value]
    return value


def redact(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact values whose key suggests a secret or speech, and secrets quoted in text."""
    for key, value in event.items():
        if _is_secret(key):
            event[key] = BLANK
        elif not isinstance(value, int | float):
            event[key] = _clean(value)
    return event


def _escaped(found: re.Match[str]) -> str:
    return found[0].encode("unicode_escape").decode("ascii")


def printable(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape what would forge a line or steer a terminal, for the console. `_json` does it for JSON."""
    for key, value in event.items():
        if isinstance(value, str):
            lines = value.split("\n") if key in _TRACEBACKS else [value]
            event[key] = "\n".join(_UNPRINTABLE.sub(_escaped, line) for line in lines)
    return event


class _Lines:
    """A named structlog logger that writes lines to `_Sink`."""

    def __init__(self, name: str) -> None:
        self.name = name

    def msg(self, line: str) -> None:
        _Sink.write(line)

    debug = info = warning = error = critical = exception = log = msg


class _Sink:
    """The output of all loggers: one stream per process."""

    stream: TextIO | None = None  # None: whatever standard error is at the moment
    json_from: int | None = None  # the lowest level that is written as JSON; None: another form, or not configured

    _waiting: ClassVar[deque[str]] = deque()  # lines of this tick of the event loop, written with one system call

    @classmethod
    def write(cls, line: str) -> None:
        cls._waiting.append(line)
        cls.flush()

    @classmethod
    def write_soon(cls, line: str) -> None:
        if not cls._waiting:
            try:
                asyncio.get_running_loop().call_soon(cls.flush)
            except RuntimeError:
                cls.write(line)
                return
        cls._waiting.append(line)

    @classmethod
    def flush(cls) -> None:
        lines = []
        while cls._waiting:
            lines.append(cls._waiting.popleft())  # one by one, so that threads lose none of each other's lines
        if lines:
            stream = cls.stream or sys.stderr
            stream.write("\n".join(lines) + "\n")
            stream.flush()


class _SinkHandler(logging.Handler):
    """Sends the standard library's records to `_Sink`."""

    def emit(self, record: logging.LogRecord) -> None:
        try:
            _Sink.write(self.format(record))
        except Exception:  # noqa: BLE001 - as logging requires: a record that cannot be written raises nothing
            self.handleError(record)


def _json(event: Any, **_options: Any) -> str:
    try:
        line = to_json(event, fallback=str, inf_nan_mode="null", bytes_mode="base64").decode()
    except PydanticSerializationError:
        line = json.dumps(_without_surrogates(event), default=str, ensure_ascii=False)
    # JSON itself only escapes up to U+001F: a terminal takes U+009B for an escape sequence, and U+2028 ends a line elsewhere.
    return line if line.isascii() and "\x7f" not in line else _UNPRINTABLE.sub(_escaped_in_json, line)


def _escaped_in_json(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _without_surrogates(value: Any) -> Any:
    """UTF-8 has none. Some clients' texts do, before they are refused."""
    if isinstance(value, str):
        return _SURROGATES.sub(_escaped, value)
    if isinstance(value, dict):
        return {_without_surrogates(str(key)): _without_surrogates(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_surrogates(item) for item in value]
    return value


def configure(level: str, form: str, stream: TextIO | None = None) -> None:
    """Write structlog's and the standard library's records to standard error (or `stream`), as `json` or `console`."""
    console = form == "console"
    _Sink.stream = stream
    _Sink.json_from = None if console else logging.getLevelNamesMapping()[level]
    first: list[Processor] = [
        structlog.contextvars.merge_contextvars,  # the caller of an embedded service
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    # Tracebacks become text before redaction, without the values of local variables, which may be users' words.
    plain: Processor = structlog.dev.ConsoleRenderer(
        colors=_is_terminal(stream), exception_formatter=structlog.dev.plain_traceback
    )
    renderer = plain if console else structlog.processors.JSONRenderer(serializer=_json)
    form_only: list[Processor] = [printable] if console else []
    last: list[Processor] = [structlog.processors.format_exc_info, redact, *form_only, renderer]
    structlog.configure(
        processors=[*first, structlog.stdlib.PositionalArgumentsFormatter(), *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *name: _Lines(str(name[0]) if name else ""),
        cache_logger_on_first_use=False,
    )
    _route_standard_library(level, first, last)
    atexit.register(_Sink.flush)  # the last tick's callbacks do not run when the loop ends


def _is_terminal(stream: TextIO | None) -> bool:
    return (stream or sys.stderr).isatty()


def _route_standard_library(level: str, first: list[Processor], last: list[Processor]) -> None:
    handler = _SinkHandler()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(CALLER), *first],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(capture=True)
    logging.getLogger("tornado.access").setLevel(logging.CRITICAL)  # handlers write a line of their own
    # Lower levels are about single connections, whose end we log ourselves.
    logging.getLogger("tornado.general").setLevel(logging.WARNING)


class _Second:
    """The timestamp's date and time of day, formatted once per second."""

    number = 0
    text = ""


def _timestamp() -> str:
    """The current time in structlog's format: ISO 8601 with microseconds, UTC."""
    second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
    if second != _Second.number:
        _Second.text = datetime.fromtimestamp(second, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        _Second.number = second
    return f"{_Second.text}.{nanoseconds // 1000:06}Z"


def is_told(level: int) -> bool:
    """False if `tell` would drop a line of this level."""
    return _Sink.json_from is None or level >= _Sink.json_from


def tell(logger: str, level: int, event: str, fields: dict[str, Any]) -> None:
    """Write the line that every request logs. Same output as structlog's, without its chain of processors.

    The line is written at the end of the loop's tick, before the loop waits for anything. `fields`: our own names, with text and
    numbers as values. A line that may contain a secret goes through structlog.
    """
    if _Sink.json_from is not None:
        if level < _Sink.json_from:
            return
        own = {"event": event, "level": _LEVEL_NAMES[level], "logger": logger, "timestamp": _timestamp()}
        line = _json({**fields, **own})
        if not any(hint in line for hint in _HINTS):
            _Sink.write_soon(line)
            return
    structlog.get_logger(logger).log(level, event, **fields)
