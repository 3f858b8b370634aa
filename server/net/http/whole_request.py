"""Parses the usual request, which arrives whole in one read, in one pass and without llhttp's eight calls back.

It takes a part of what `parser` takes, and reads it alike; the tests compare the two. All else is left to `parser`: other methods
and versions, bodies in chunks or in several reads, repeated headers, upgrades, `Expect`, and several requests in one read.
"""

from __future__ import annotations

import re

from tornado.httputil import RequestStartLine

from server.net.http.headers import Headers, spelled
from server.net.http.parser import MAX_HEADER_LINES, MAX_NAME_BYTES

MAX_WHOLE_BYTES = 4 * 1024  # more is parsed in slices
MAX_DIGITS = 4  # of a body that can be whole

# Possessive quantifiers, so that a head that does not match is given up after one pass. RFC 9110, sections 5.1 and 5.5: a name is a
# token; a value has no control character but the tab. RFC 9112, section 3.2: no fragment in the target. Values are matched by what
# they may have: Python looks up a negated set of several ranges range by range, which takes 1.2 µs more for a token of 300 bytes.
_HEAD = re.compile(
    rb"(GET|POST|PUT|PATCH|DELETE|HEAD|OPTIONS) (/[!\"$-~]*+) HTTP/1\.1\r\n"
    rb"((?:[!#$%&'*+.^_`|~0-9A-Za-z-]{1," + b"%d" % MAX_NAME_BYTES + rb"}+:[\t -~\x80-\xff]*+\r\n)++)\r\n"
)
# They change how the request is read, or what follows it.
_FOR_LLHTTP = frozenset({"Connection", "Expect", "Proxy-Connection", "Transfer-Encoding", "Upgrade"})
_METHODS = {
    method.encode(): method for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS")
}  # one object each, so that nothing is decoded


def whole_request(data: bytes) -> tuple[RequestStartLine, Headers, bytes] | None:
    """Start line, headers and body if `data` is exactly one request that keeps its connection alive; None for all else."""
    found = _HEAD.match(data)
    if found is None:
        return None
    method, target, lines = found.groups()
    values: dict[str, str] = {}
    fields = lines.decode("latin-1").split("\r\n")
    fields.pop()  # empty: behind the last line's end
    for field in fields:
        name, _, value = field.partition(":")
        values[spelled(name)] = value.strip(" \t")
    if len(values) != len(fields) or len(fields) > MAX_HEADER_LINES:
        return None
    if not _FOR_LLHTTP.isdisjoint(values) and not _is_kept_alive(values):
        return None
    body = data[found.end() :]
    if body or "Content-Length" in values:
        length = values.get("Content-Length", "")
        if not (len(length) <= MAX_DIGITS and length.isascii() and length.isdigit() and int(length) == len(body)):
            return None
    return RequestStartLine(_METHODS[method], target.decode("ascii"), "HTTP/1.1"), Headers(values), body


def _is_kept_alive(values: dict[str, str]) -> bool:
    """True if `Connection: keep-alive`, HTTP/1.1's default, is the only one of these headers."""
    return values.get("Connection", "").lower() == "keep-alive" and _FOR_LLHTTP.intersection(values) == {"Connection"}
