"""W3C Trace Context: the caller's trace continues in the services; without one, a new trace begins."""

from __future__ import annotations

import re
from random import Random, SystemRandom

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


_ids = Random(SystemRandom().getrandbits(128))  # noqa: S311 - ids, not secrets; twenty times as fast as asking the kernel


def random_id(n_bytes: int) -> str:
    """That many random bytes in hexadecimal. For ids only, never for secrets."""
    return _ids.getrandbits(8 * n_bytes).to_bytes(n_bytes).hex()


def next_traceparent(given: str) -> str:
    """The header to send on: same trace, our span as parent. A malformed header starts a new, unsampled trace."""
    span_id = random_id(8)
    found = _TRACEPARENT.fullmatch(given) if given and not given.startswith("ff") else None
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return f"00-{random_id(16)}-{span_id}-00"
    flags = "01" if int(found[3], 16) & 1 else "00"
    return f"00-{found[1]}-{span_id}-{flags}"


def trace_id(traceparent: str) -> str:
    """The trace's id, for the log line."""
    return traceparent[3:35]
