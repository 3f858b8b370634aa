"""The caller and trace as gRPC metadata (CONTRACT 1)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from streaming.ports import CallContext

# gRPC over HTTP/2, "Custom-Metadata": ASCII values are 0x20-0x7E. Space, comma and percent are escaped too, so that nothing is
# trimmed, lists remain lists, and different names never look the same.
_PLAIN = re.compile(r"[!-$&-+\--~]*\Z")
_SAFE = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in "%,")


def metadata_value(text: str) -> str:
    """`text`, percent-encoded (UTF-8) if gRPC metadata cannot carry it."""
    if not _PLAIN.match(text):
        return quote(text, safe=_SAFE, errors="replace")
    return text


def call_metadata(context: CallContext) -> tuple[tuple[str, str], ...]:
    """The context as metadata, without empty values."""
    pairs = [
        ("x-request-id", context.request_id),
        ("traceparent", context.traceparent),
        ("x-user-id", context.user_id),
        ("x-session-id", context.session_id),
    ]
    metadata = [(key, metadata_value(value)) for key, value in pairs if value]
    if context.roles:
        metadata.append(("x-user-roles", ",".join(map(metadata_value, context.roles))))
    return tuple(metadata)
