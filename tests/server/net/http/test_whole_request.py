"""Requests that arrive whole: each one that is read in one pass is what llhttp's parser would have read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.net.http.whole_request import whole_request
from tests.server.net.http.test_parser import fed
from tests.server.net.http.test_smuggling import AMBIGUOUS, SMUGGLED

TOKEN = "!#$%&'*+-.^_`|~09azAZ"
LEFT = {
    "a pipelined request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a part of a head": b"GET / HTTP/1.1\r\nHost: x\r\n",
    "a part of a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{",
    "more than the body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}\r\n",
    "a body without a length": b"POST / HTTP/1.1\r\nHost: x\r\n\r\n{}",
    "chunks": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "an upgrade": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "an upgrade that keeps alive": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\nUpgrade: websocket\r\n\r\n",
    "the last request": b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
    "an expectation": b"POST / HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    "a repeated header": b"GET / HTTP/1.1\r\nHost: x\r\nX: 1\r\nx: 2\r\n\r\n",
    "HTTP/1.0": b"GET / HTTP/1.0\r\nHost: x\r\n\r\n",
    "another method": b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n",
    "an absolute target": b"GET http://x/ HTTP/1.1\r\nHost: x\r\n\r\n",
    "an empty line before": b"\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "two spaces": b"GET  / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a folded line": b"GET / HTTP/1.1\r\nHost: x\r\nX: y\r\n z\r\n\r\n",
    "a fragment": b"GET /#part HTTP/1.1\r\nHost: x\r\n\r\n",
    "too many lines": b"GET / HTTP/1.1\r\n" + b"".join(b"X%d: y\r\n" % number for number in range(101)) + b"\r\n",
    "a long name": b"GET / HTTP/1.1\r\nHost: x\r\n" + b"x" * 257 + b": y\r\n\r\n",
    "no headers": b"GET / HTTP/1.1\r\n\r\n",
}


@pytest.mark.parametrize("kind", LEFT)
def test_is_left_to_the_parser(kind: str) -> None:
    assert whole_request(LEFT[kind]) is None


@pytest.mark.parametrize("kind", AMBIGUOUS)
@pytest.mark.parametrize("behind", [b"", SMUGGLED])
def test_an_ambiguous_request_is_never_read_in_one_pass_unless_the_parser_reads_it_alike(
    kind: str, behind: bytes
) -> None:
    assert agrees(AMBIGUOUS[kind] + behind)


def agrees(data: bytes) -> bool:
    """True if the request is left to the parser, or read as the parser reads it."""
    whole = whole_request(data)
    if whole is None:
        return True
    (method, target, _version), headers, body = whole
    told = {name.lower(): value for name, value in headers.items()}
    return fed([data]) == ([(method, target, told, True, body)], "")


USUAL = [
    b"GET /live HTTP/1.1\r\nHost: x\r\n\r\n",
    b"GET /a?b=c HTTP/1.1\r\nhost:x\r\nConnection: Keep-Alive\r\nX-Empty:\r\nX: \ta\xe9 b \t\r\n\r\n",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}",
    b"POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
    b"DELETE /a HTTP/1.1\r\nHost: x\r\nContent-Length: 02\r\n\r\n{}",
]


@pytest.mark.parametrize("data", USUAL)
def test_usual_requests_are_read_in_one_pass(data: bytes) -> None:
    assert whole_request(data) is not None
    assert agrees(data)


names = st.text(TOKEN, min_size=1, max_size=6) | st.sampled_from(
    ["Content-Length", "Connection", "Host", "Upgrade", "TE"]
)
values = st.binary(max_size=8) | st.sampled_from([b" 0", b" 2", b"keep-alive", b"close", b"\t", b" a, b"])
targets = st.binary(max_size=6).map(lambda rest: b"/" + rest)


@given(
    st.sampled_from([b"GET", b"POST", b"PUT", b"PATCH", b"DELETE", b"HEAD", b"OPTIONS"]),
    targets,
    st.lists(st.tuples(names, values), min_size=1, max_size=4),
    st.sampled_from([b"", b"{}", b"{}{}"]),
)
def test_whatever_is_read_in_one_pass_is_read_alike_by_the_parser(
    method: bytes, target: bytes, lines: list[tuple[str, bytes]], body: bytes
) -> None:
    head = b"".join(b"%b:%b\r\n" % (name.encode(), value) for name, value in lines)
    assert agrees(b"%b %b HTTP/1.1\r\n%b\r\n%b" % (method, target, head, body))


@given(st.integers(0, 60), st.integers(0, 255))
def test_a_changed_byte_is_read_alike_or_left_to_the_parser(at: int, byte: int) -> None:
    data = bytearray(b"POST /a?b=c HTTP/1.1\r\nHost: x\r\nX-Some: thing\r\nContent-Length: 2\r\n\r\n{}")
    data[at] = byte
    assert agrees(bytes(data))
