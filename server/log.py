"""JSON logs: one line per request and per socket close, with request, trace, user and session bound once.

Transcripts, audio and tokens are never in log text; what looks like a secret is blanked all the same.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

import structlog

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from structlog.typing import EventDict, Processor, WrappedLogger

SECRET_WORDS = ("token", "password", "secret", "authorization", "ticket", "cookie")
BLANK = "[redacted]"


def redact(_logger: WrappedLogger, _method: str, event: MutableMapping[str, object]) -> EventDict:
    """Blank values whose key sounds like a secret."""
    return {key: BLANK if any(word in key.lower() for word in SECRET_WORDS) else value for key, value in event.items()}


def configure(level: str, form: str) -> None:
    """Send structlog's and the standard library's records to standard error as `json` or `console`."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        redact,
    ]
    last: Processor = structlog.processors.JSONRenderer() if form == "json" else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[structlog.stdlib.filter_by_level, *shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            structlog.processors.format_exc_info if form == "json" else _keep,
            last,
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.getLogger("tornado.access").setLevel(logging.ERROR)  # handlers write their own line


def _keep(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The console renderer formats exceptions itself."""
    return event
