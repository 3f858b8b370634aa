"""Timestamps as text (RFC 3339, UTC), for the wire, files and logs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import overload


@overload
def rfc3339(unix_s: float, *, milliseconds: bool = False) -> str: ...
@overload
def rfc3339(unix_s: float | None, *, milliseconds: bool = False) -> str | None: ...
def rfc3339(unix_s: float | None, *, milliseconds: bool = False) -> str | None:
    """Unix seconds as `2030-01-01T12:00:00Z`, to the second or the millisecond; None stays None."""
    if unix_s is None:
        return None
    text = datetime.fromtimestamp(unix_s, UTC).isoformat(timespec="milliseconds" if milliseconds else "seconds")
    return text.replace("+00:00", "Z")
