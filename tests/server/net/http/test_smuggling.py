"""Requests whose end two readers may see in different places: either everything is refused, or the end is the only right one."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support.rest import running

if TYPE_CHECKING:
    from pathlib import Path

HOST = b"Host: x\r\n"
POST = b"POST /api/v1/agent/intent HTTP/1.1\r\n" + HOST
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"
SMUGGLED = b"GET /live HTTP/1.1\r\n" + HOST + b"\r\n"  # what is answered if a front's idea of the end is ours too
AMBIGUOUS = {
    "length and chunks": POST + b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunks and length": POST + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n",
    "two lengths": POST + b"Content-Length: 0\r\nContent-Length: 4\r\n\r\n",
    "the same length twice": POST + b"Content-Length: 0\r\nContent-Length: 0\r\n\r\n",
    "a list of lengths": POST + b"Content-Length: 0, 0\r\n\r\n",
    "a length with a sign": POST + b"Content-Length: +0\r\n\r\n",
    "a length in hexadecimal": POST + b"Content-Length: 0x0\r\n\r\n",
    "a length with a space in it": POST + b"Content-Length: 0 0\r\n\r\n",
    "an empty length": POST + b"Content-Length: \r\n\r\n",
    "a length before a space": POST + b"Content-Length : 0\r\n\r\n",
    "another coding": POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "two codings": POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "chunked twice": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "identity": POST + b"Transfer-Encoding: identity\r\n\r\n",
    "chunked, then identity": POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n",
    "identity, then chunked": POST + b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "chunked behind a tab": POST + b"Transfer-Encoding: chunked\t\r\n\r\n0\r\n\r\n",
    "chunked behind an odd space": POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "chunked in quotes": POST + b'Transfer-Encoding: "chunked"\r\n\r\n0\r\n\r\n',
    "chunked before a space": POST + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunked on a folded line": POST + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "chunked in HTTP/1.0": b"POST / HTTP/1.0\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "a bare line feed": POST + b"X: y\nContent-Length: 0\r\n\r\n",
    "a bare carriage return": POST + b"X: y\rContent-Length: 0\r\n\r\n",
    "a head that ends with line feeds": POST + b"Content-Length: 0\n\n",
    "a zero byte in a name": POST + b"Content\0-Length: 0\r\n\r\n",
    "a zero byte in a value": POST + b"X: y\0\r\n\r\n",
    "a line without a name": POST + b": y\r\n\r\n",
    "two hosts": POST + b"Host: y\r\nContent-Length: 0\r\n\r\n",
    "a chunk's size with a sign": CHUNKED + b"+0\r\n\r\n",
    "a chunk's size in 0x": CHUNKED + b"0x0\r\n\r\n",
    "a chunk's size with a space": CHUNKED + b"0 \r\n\r\n",
    "a chunk's size that overflows": CHUNKED + b"10000000000000000\r\n\r\n",
    "a chunk's line feed": CHUNKED + b"0\n\n",
    "an extension's line feed": CHUNKED + b"0;a\nb\r\n\r\n",
    "an extension with lines in quotes": CHUNKED + b'0;a="\r\n\r\n"\r\n\r\n',
    "a chunk longer than it says": CHUNKED + b"1\r\n{}\r\n0\r\n\r\n",
    "a length in a trailer": CHUNKED + b"0\r\nContent-Length: 4\r\n\r\n",
    "a trailer's line feed": CHUNKED + b"0\r\nX: y\n\r\n",
}


@pytest.mark.parametrize("kind", AMBIGUOUS)
async def test_nothing_behind_an_ambiguous_request_is_answered(tmp_path: Path, kind: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.raw(AMBIGUOUS[kind] + SMUGGLED)
    assert answer.startswith((b"HTTP/1.1 400", b"HTTP/1.1 401"))
    assert b"\r\nConnection: close\r\n" in answer
    assert b'{"status":"ok"}' not in answer
