"""Bytes to heads and bodies: llhttp (RFC 9112), with bounds that it does not have and without the protocols it would switch to. No I/O."""

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
from server.net.http.request import Headers

MAX_HEAD_BYTES = 32 * 1024  # a token of 8 KiB, cookies of others, and room
MAX_REASON_CHARS = 200  # what is quoted of a request that can't be read
# Sizes of chunks, extensions and trailers beside the body itself: chunks of one byte are allowed, endless trailers are not.
FRAMING_PER_BYTE = 8
FRAMING_BYTES = 32 * 1024

_INVENTED_METHOD = re.compile(rb"\s*[!#$%&'*+.^_`|~\w-]+ \S+ HTTP/1\.[01]\r\n")


class Owner(Protocol):
    """Who is told what was read, within `feed`."""

    def head_received(self, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool) -> None:
        """The headers are complete. `keeps_alive`: another request may follow (RFC 9112, section 9.3)."""

    def body_received(self, chunk: bytes) -> None:
        """A piece of the body."""

    def request_complete(self) -> None:
        """The body has ended, or there is none."""


class RequestParser:
    """One connection's requests, one behind the other. Not to be fed any more once it has raised."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._parser = HttpRequestParser(self)
        self._url = b""
        self._headers = Headers()
        self._head_bytes = 0  # fed since the last request's end, until the next one's headers are complete
        self._in_body = False  # from a request's head to its end
        self._chunked = False
        self._fed_bytes = self._body_bytes = 0  # of a chunked body: with its framing, and without

    @property
    def in_head(self) -> bool:
        """Has a part of a head come, and not all of it?"""
        return not self._in_body and self._head_bytes > 0

    def feed(self, piece: bytes) -> bytes:
        """Read some kilobytes; returns what another `feed` has to read: what stands behind a request that asks for another protocol.

        Raises ApiError BAD_REQUEST, HEADERS_TOO_LARGE, UNIMPLEMENTED, and whatever the owner raises.
        """
        if not self._in_body:
            self._head_bytes += len(piece)
        elif self._chunked:
            self._fed_bytes += len(piece)
        rest = b""
        try:
            self._parser.feed_data(piece)
        except HttpParserUpgrade as upgrade:
            rest = piece[upgrade.args[0] :]
            self._read_on_without_upgrade()
        except HttpParserCallbackError as failed:
            raise failed.__context__ or failed from None
        except HttpParserInvalidMethodError as unknown:
            raise self._unknown_method(piece, str(unknown)) from None
        except HttpParserError as broken:
            raise ApiError("BAD_REQUEST", str(broken)[:MAX_REASON_CHARS]) from None
        self._check_bounds()
        return rest

    def close(self) -> None:
        """Nothing more comes. llhttp's wrapper holds our methods, and we hold it."""
        del self._parser

    def _unknown_method(self, piece: bytes, reason: str) -> ApiError:
        begins_here = self._head_bytes == len(piece)  # no other request stands before it
        if begins_here and _INVENTED_METHOD.match(piece):
            return ApiError("UNIMPLEMENTED", "no such method")
        return ApiError("BAD_REQUEST", reason)

    def _check_bounds(self) -> None:
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ApiError("HEADERS_TOO_LARGE")
        if self._chunked and self._fed_bytes > FRAMING_BYTES + FRAMING_PER_BYTE * self._body_bytes:
            raise ApiError("BAD_REQUEST", "the chunks have next to nothing in them")

    def _read_on_without_upgrade(self) -> None:
        """A handshake has no body. Of any other request the wish is ignored (RFC 9110, section 7.8), its body is not.

        llhttp ends such a request with its headers. Another one is given the same framing, and reads on.
        """
        self._parser = HttpRequestParser(self)
        framing = self._framing()
        if framing:
            self._parser.feed_data(b"POST / HTTP/1.1\r\n" + framing + b"\r\n\r\n")
        else:
            self._end()

    def _framing(self) -> bytes:
        """The header by which the end of the body is known; empty when there is no body."""
        if self._chunked:
            return b"Transfer-Encoding: chunked"
        announced_bytes = int(self._headers.get("Content-Length", "0"))
        return b"Content-Length: %d" % announced_bytes if announced_bytes else b""

    def _end(self) -> None:
        self._in_body = self._chunked = False
        self._owner.request_complete()

    # --- what llhttp calls ---

    def on_message_begin(self) -> None:
        """A request begins."""
        if not self._in_body:
            self._url = b""
            self._headers = Headers()

    def on_url(self, part: bytes) -> None:
        """The target, or a part of it."""
        self._url += part

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header. Trailers are nobody's here (RFC 9110, section 6.5.1)."""
        if not self._in_body:
            self._headers.add(name, value)

    def on_headers_complete(self) -> None:
        """All of them."""
        if self._in_body:
            return  # told again, to the parser that reads on
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ApiError("HEADERS_TOO_LARGE")
        parser, headers = self._parser, self._headers
        method, version = parser.get_method().decode(), f"HTTP/{parser.get_http_version()}"
        start_line = RequestStartLine(method, self._url.decode("latin-1"), version)
        self._in_body, self._chunked = True, "Transfer-Encoding" in headers
        self._head_bytes = self._fed_bytes = self._body_bytes = 0
        self._owner.head_received(start_line, headers, keeps_alive=parser.should_keep_alive())

    def on_body(self, chunk: bytes) -> None:
        """A piece of the body."""
        self._body_bytes += len(chunk)
        self._owner.body_received(chunk)

    def on_message_complete(self) -> None:
        """The end: also right behind the headers of a request that asks for another protocol, whatever its body."""
        if not self._parser.should_upgrade():
            self._end()
