"""Parses bytes into heads and bodies by llhttp (RFC 9112), with limits that it lacks and without switching protocols. No I/O."""

from __future__ import annotations

import re
from typing import Protocol

from httptools import (
    HttpParserCallbackError,
    HttpParserError,
    HttpParserInvalidMethodError,
    HttpParserUpgrade,
    HttpRequestParser,
)
from tornado.httputil import RequestStartLine

from server.errors import ApiError
from server.net.http.headers import Headers

MAX_HEAD_BYTES = 32 * 1024  # a token of 8 KiB, other sites' cookies, and a reserve
MAX_NAME_BYTES = 256  # of a header: names are kept as they are spelled; the longest in use have some forty characters
MAX_HEADER_LINES = 100  # as in Apache; browsers behind three proxies send 40, and each line costs more than its bytes
MAX_REASON_CHARS = 200  # of the parser's reason, quoted in the refusal
# Chunk sizes, extensions and trailers may take this much besides the body: one-byte chunks pass, endless trailers do not.
FRAMING_PER_BYTE = 8
FRAMING_BYTES = 32 * 1024

_INVENTED_METHOD = re.compile(rb"(?:\r\n)*[!#$%&'*+.^_`|~\w-]+ \S+ HTTP/1\.[01]\r\n")
# RFC 9112, section 3: single spaces, and HTTP, behind empty lines. llhttp also takes more spaces, HTTP/0.9, HTTP/2.0, RTSP and ICE,
# and a bare CR or LF before the line.
_REQUEST_LINE = re.compile(rb"(?:\r\n)*[^ \r\n]+ [^ \r\n]+ HTTP/1\.[01]\r\n")
_EMPTY_LINE = b"\r\n\r\n"  # with the end of the line before


class RequestSink(Protocol):
    """Told of what was parsed, during `feed`."""

    def head_received(self, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool) -> None:
        """A head is complete. `keeps_alive`: another request may follow (RFC 9112, section 9.3)."""

    def body_received(self, chunk: bytes) -> None:
        """A piece of the body."""

    def request_complete(self) -> None:
        """The body has ended, or the request has none."""


class RequestParser:
    """Parses the requests of one connection. Do not feed it again after it has raised."""

    def __init__(self, owner: RequestSink) -> None:
        self._owner = owner
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers = Headers()
        self._header_lines = 0
        self._head_bytes = 0  # fed since the end of the last request, until the next head is complete
        self._line = b""  # of the head being parsed, as received: its first bytes, with all of the request line
        self._last_bytes = b""  # of the head or body being parsed: three at most
        self._left_bytes = 0  # of a body whose length was announced
        self._in_body = False  # between the end of a head and the end of its body
        self._chunked = False
        self._fed_bytes = self._body_bytes = 0  # of a chunked body, with and without framing

    @property
    def idle(self) -> bool:
        """True between requests."""
        return not (self._in_body or self._head_bytes)

    @property
    def in_head(self) -> bool:
        """True while a head is incomplete."""
        return not self._in_body and self._head_bytes > 0

    def feed(self, piece: bytes) -> bytes:
        """Parse a few kilobytes. Returns bytes that must be fed again: llhttp stops after a request with `Upgrade`.

        Raises ApiError BAD_REQUEST, HEADERS_TOO_LARGE, UNIMPLEMENTED, and whatever the owner raises.
        """
        at = 0
        while at < len(piece):
            end = self._boundary(piece, at)
            rest = self._feed_part(piece[at:end])
            if rest is not None:
                return rest + piece[end:]
            at = end
        return b""

    def _boundary(self, piece: bytes, at: int) -> int:
        """Where the part ends that begins at `at`. A request always begins with a part: its line is checked as received.

        Heads and chunked bodies end with an empty line, which may also be data: a cut there does no harm.
        """
        if self._in_body and not self._chunked:
            return min(len(piece), at + max(1, self._left_bytes))
        seen = self._last_bytes
        if seen:
            found = (seen + piece[at : at + len(_EMPTY_LINE)]).find(_EMPTY_LINE)
            if found >= 0:
                return at + found + len(_EMPTY_LINE) - len(seen)
        found = piece.find(_EMPTY_LINE, at)
        return found + len(_EMPTY_LINE) if found >= 0 else len(piece)

    def _feed_part(self, part: bytes) -> bytes | None:
        """None, or the rest of it if llhttp stopped."""
        if not self._in_body:
            self._head_bytes += len(part)
            if b"\n" not in self._line.lstrip(b"\r\n"):
                self._line += part
        elif self._chunked:
            self._fed_bytes += len(part)
        self._last_bytes = part[-3:] if len(part) >= 3 else (self._last_bytes + part)[-3:]
        rest = None
        try:
            self._parser.feed_data(part)
        except HttpParserUpgrade as upgrade:
            rest = part[upgrade.args[0] :]
            self._read_on_without_upgrade()
        except HttpParserCallbackError as failed:
            raise failed.__context__ or failed from None
        except HttpParserInvalidMethodError as unknown:
            raise self._unknown_method(part, str(unknown)) from None
        except HttpParserError as broken:
            raise ApiError("BAD_REQUEST", str(broken)[:MAX_REASON_CHARS]) from None
        self._check_bounds()
        return rest

    def close(self) -> None:
        """Break the reference cycles with llhttp's wrapper and with the owner. Call it once, outside `feed`."""
        del self._parser, self._owner

    def _unknown_method(self, piece: bytes, reason: str) -> ApiError:
        begins_here = self._head_bytes == len(piece)  # no other request precedes it in this piece
        if begins_here and _INVENTED_METHOD.match(piece):
            return ApiError("UNIMPLEMENTED", "no such method")
        return ApiError("BAD_REQUEST", reason)

    def _check_bounds(self) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ApiError("HEADERS_TOO_LARGE")
        if self._chunked and self._fed_bytes > FRAMING_BYTES + FRAMING_PER_BYTE * self._body_bytes:
            raise ApiError("BAD_REQUEST", "the chunks are too small")

    def _read_on_without_upgrade(self) -> None:
        """Continue after the headers of an upgrade request, where llhttp stops.

        To read the body anyway, feed a second parser a synthetic request line with the same framing headers. The handler decides
        whether to grant the upgrade; it may be ignored (RFC 9110, section 7.8).
        """
        self._parser = HttpRequestParser(self)
        framing = self._framing()
        if framing:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        else:
            self._end()

    def _framing(self) -> bytes:
        """The header that determines the end of the body; empty if there is no body."""
        if self._chunked:
            return b"Transfer-Encoding: chunked"
        return b"Content-Length: %d" % self._left_bytes if self._left_bytes else b""

    def _end(self) -> None:
        self._in_body = self._chunked = False
        self._line = self._last_bytes = b""
        self._owner.request_complete()

    # --- called by llhttp ---

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._in_body:
            self._url = b""
            self._headers = Headers()
            self._header_lines = 0

    def on_url(self, part: bytes) -> None:
        """The request target, or part of it."""
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Trailers are dropped, because nothing here uses them (RFC 9110, section 6.5.1)."""
        if self._in_body:
            return
        self._header_lines += 1
        if self._header_lines > MAX_HEADER_LINES:
            raise ApiError("HEADERS_TOO_LARGE", f"more than {MAX_HEADER_LINES} header lines")
        if len(name) > MAX_NAME_BYTES:
            raise ApiError("HEADERS_TOO_LARGE", f"a header's name has more than {MAX_NAME_BYTES} characters")
        self._headers.add_bytes(name, value)

    def on_headers_complete(self) -> None:
        """The head is complete."""
        if self._in_body:
            return  # the synthetic request line of `_read_on_without_upgrade`
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ApiError("HEADERS_TOO_LARGE")
        if not _REQUEST_LINE.match(self._line):
            raise ApiError(
                "BAD_REQUEST",
                "the request line is a method, a target and a version (HTTP/1.1 or 1.0), with single spaces",
            )
        parser, headers = self._parser, self._headers
        method, version = parser.get_method().decode(), f"HTTP/{parser.get_http_version()}"
        start_line = RequestStartLine(method, self._url.decode("latin-1"), version)
        self._in_body, self._chunked = True, "Transfer-Encoding" in headers
        self._head_bytes = self._fed_bytes = self._body_bytes = 0
        self._left_bytes = int(headers.get("Content-Length", "0"))  # llhttp has checked it
        self._last_bytes = b""
        self._owner.head_received(start_line, headers, keeps_alive=parser.should_keep_alive())

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(chunk)
        self._left_bytes -= len(chunk)
        self._owner.body_received(chunk)

    def on_message_complete(self) -> None:
        """The body is complete. llhttp also calls this right after the headers of an upgrade request."""
        if not self._parser.should_upgrade():
            self._end()
