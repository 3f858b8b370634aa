"""W3C Trace Context: the caller's trace goes on to the services; who brings none begins one."""

from __future__ import annotations

import re
from random import Random, SystemRandom

_TRACEPARENT = re.compile(r"[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_NO_TRACE, _NO_SPAN = "0" * 32, "0" * 16


_ids = Random(SystemRandom().getrandbits(128))  # noqa: S311 - names, not secrets: twenty times as fast as asking the kernel


def random_id(n_bytes: int) -> str:
    """So many random bytes in hexadecimal. It names something; it proves nothing."""
    return f"{_ids.getrandbits(8 * n_bytes):0{2 * n_bytes}x}"


def next_traceparent(given: str) -> str:
    """The header to send on: same trace, our span as parent. Anything malformed begins a new, unsampled trace."""
    span_id = random_id(8)
    found = _TRACEPARENT.fullmatch(given) if given and not given.startswith("ff") else None
    if found is None or found[1] == _NO_TRACE or found[2] == _NO_SPAN:
        return f"00-{random_id(16)}-{span_id}-00"
    flags = "01" if int(found[3], 16) & 1 else "00"
    return f"00-{found[1]}-{span_id}-{flags}"


def trace_id(traceparent: str) -> str:
    """For the log line."""
    return traceparent[3:35]
