"""The parser alone: for any split of the bytes, the same requests are parsed and the same ones refused."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.errors import ApiError
from server.net.http.parser import MAX_HEAD_BYTES, RequestParser

if TYPE_CHECKING:
    from tornado.httputil import RequestStartLine

    from server.net.http.headers import Headers

Told = tuple[str, str, dict[str, str], bool, bytes]


class Heard:
    """What an owner was told: method, target, headers, keeps alive, body."""

    def __init__(self) -> None:
        self.requests: list[Told] = []
        self._head: tuple[str, str, dict[str, str], bool] | None = None
        self._body = b""

    def head_received(self, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool) -> None:
        assert self._head is None
        self._head = (
            start_line.method,
            start_line.path,
            {name.lower(): value for name, value in headers.items()},
            keeps_alive,
        )

    def body_received(self, chunk: bytes) -> None:
        assert self._head is not None
        self._body += chunk

    def request_complete(self) -> None:
        assert self._head is not None
        self.requests.append((*self._head, self._body))
        self._head, self._body = None, b""


def fed(pieces: list[bytes]) -> tuple[list[Told], str]:
    """The requests, and the code of what was refused."""
    heard = Heard()
    parser = RequestParser(heard)
    try:
        for given_piece in pieces:
            piece = given_piece
            while piece:
                piece = parser.feed(piece)
    except ApiError as refusal:
        return heard.requests, refusal.code
    return heard.requests, ""


@st.composite
def requests(draw: st.DrawFn) -> tuple[bytes, Told]:
    body = draw(st.binary(max_size=40))
    framing = draw(st.sampled_from(["none", "length", "chunked"]))
    upgrade = draw(st.booleans())
    method, target = draw(st.sampled_from(["GET", "POST", "DELETE"])), draw(st.sampled_from(["/", "/a?b=c", "*"]))
    headers = {"host": "x"} | ({"connection": "Upgrade", "upgrade": "h2c"} if upgrade else {})
    if framing == "none":
        body = b""
    elif framing == "length":
        headers["content-length"] = str(len(body))
    else:
        headers["transfer-encoding"] = "chunked"
    wire = f"{method} {target} HTTP/1.1\r\n".encode()
    wire += b"".join(f"{name.title()}:  {value} \r\n".encode() for name, value in headers.items()) + b"\r\n"
    if framing == "chunked":
        size = draw(st.integers(1, 50))
        chunks = [body[at : at + size] for at in range(0, len(body), size)]
        wire += b"".join(b"%x;ext=1\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks) + b"0\r\nTrailer: t\r\n\r\n"
    else:
        wire += body
    return wire, (method, target, headers, True, body)


@given(sent=st.lists(requests(), max_size=6), data=st.data())
def test_however_the_bytes_are_cut(sent: list[tuple[bytes, Told]], data: st.DataObject) -> None:
    wire = b"".join(one for one, _ in sent)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(wire)), max_size=20)))
    pieces = [wire[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(wire)], strict=True)]
    told, refused = fed(pieces)
    assert not refused
    assert told == [expected for _, expected in sent]


@given(st.binary(max_size=200), st.integers(1, 20))
def test_nonsense_is_refused_and_nothing_else_is_raised(nonsense: bytes, size: int) -> None:
    begun = b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
    for wire in (nonsense, begun + nonsense):
        _, code = fed([wire[at : at + size] for at in range(0, len(wire), size)])
        assert code in {"", "BAD_REQUEST"}


@pytest.mark.parametrize("headers", [b"X: " + b"y" * MAX_HEAD_BYTES, b"X: y\r\n" * (MAX_HEAD_BYTES // 6)])
def test_a_head_has_an_end(headers: bytes) -> None:
    wire = b"GET / HTTP/1.1\r\n" + headers + b"\r\n\r\n"
    assert fed([wire[at : at + 4096] for at in range(0, len(wire), 4096)]) == ([], "HEADERS_TOO_LARGE")


def test_values_that_come_several_times_are_one() -> None:
    ((_, _, headers, _, _),), _ = fed([b"GET / HTTP/1.1\r\nHost: x\r\nAccept: a\r\nHOST: y\r\naccept: b\r\n\r\n"])
    assert headers == {"host": "x, y", "accept": "a, b"}


def test_whoever_owns_it_may_refuse() -> None:
    class Refusing(Heard):
        def head_received(self, start_line: RequestStartLine, headers: Headers, *, keeps_alive: bool) -> None:
            raise ApiError("NOT_FOUND")

    with pytest.raises(ApiError) as refused:
        RequestParser(Refusing()).feed(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert refused.value.code == "NOT_FOUND"


ODD_LINES = [
    b"GET  / HTTP/1.1",
    b"GET /  HTTP/1.1",
    b"GET\t/ HTTP/1.1",
    b" GET / HTTP/1.1",
    b"\rGET / HTTP/1.1",
    b"\nGET / HTTP/1.1",
    b"GET / HTTP/1.1 ",
    b"GET /",
    b"GET / HTTP/0.9",
    b"GET / HTTP/2.0",
    b"GET / RTSP/1.0",
    b"SOURCE / ICE/1.0",
]
BEFORE = {
    "nothing": b"",
    "an empty line": b"\r\n",
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a body": b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\na\r\n\r\n",
    "chunks": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n\r\n\r\n\r\n0\r\n\r\n",
    "trailers": b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0;a=b\r\nX: y\r\n\r\n",
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("line", ODD_LINES, ids=repr)
@pytest.mark.parametrize("size", [1, 3, 1000])
def test_a_request_line_has_one_spelling(line: bytes, before: str, size: int) -> None:
    wire = BEFORE[before] + line + b"\r\nHost: x\r\n\r\n"
    told, refused = fed([wire[at : at + size] for at in range(0, len(wire), size)])
    assert refused == "BAD_REQUEST"
    assert len(told) == (before not in {"nothing", "an empty line"})
