"""The cases 1 to 7, 9 and 10 of the Autobahn test suite, restated as tables: with the same numbers and meaning, but without its code.

A case is what a client sends, in the pieces it sends it in, the frames that an echo server answers with, and the code that the
connection is closed with. The sequences of 6.5 to 6.23 are those of Markus Kuhn's UTF-8 decoder test that Autobahn takes.
12 and 13 are about compression, which is not offered here.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.server.net.websocket.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame

KIB, MIB = 1024, 1024 * 1024
BYE = close(1000)
HELLO = b"Hello, world!"


@dataclass(frozen=True)
class Case:
    """`pieces` leave in writes of their own; `codes` may end it; the client's own close is one of the pieces."""

    pieces: tuple[bytes, ...]
    answers: tuple[tuple[int, bytes], ...] = ()
    codes: tuple[int, ...] = (1000,)


def chops(data: bytes, size: int = 1) -> tuple[bytes, ...]:
    return tuple(data[at : at + size] for at in range(0, len(data), size))


def fragments(opcode: int, *parts: bytes, between: bytes = b"") -> bytes:
    last = len(parts) - 1
    return between.join(
        frame(CONTINUATION if number else opcode, part, fin=number == last) for number, part in enumerate(parts)
    )


def echoed(opcode: int, payload: bytes, size: int | None = None) -> Case:
    data = frame(opcode, payload)
    return Case((*chops(data, size or len(data)), BYE), ((opcode, payload),))


def refused(*pieces: bytes, answers: tuple[tuple[int, bytes], ...] = (), code: int = 1002) -> Case:
    return Case(pieces, answers, (code,))


SIZES = (0, 125, 126, 127, 128, 65535, 65536)
PINGS = b"".join(frame(PING, b"payload-%d" % number) for number in range(10))
PONGS = tuple((PONG, b"payload-%d" % number) for number in range(10))
PART_1, PART_2 = b"fragment1", b"fragment2"
TWO = PART_1 + PART_2

CASES: dict[str, Case] = {
    **{f"1.1.{n}": echoed(TEXT, b"*" * size) for n, size in enumerate(SIZES, 1)},
    "1.1.8": echoed(TEXT, b"*" * 65536, 997),
    **{f"1.2.{n}": echoed(BINARY, b"\xfe" * size) for n, size in enumerate(SIZES, 1)},
    "1.2.8": echoed(BINARY, b"\xfe" * 65536, 997),
    "2.1": Case((frame(PING), BYE), ((PONG, b""),)),
    "2.2": Case((frame(PING, HELLO), BYE), ((PONG, HELLO),)),
    "2.3": Case(
        (frame(PING, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"), BYE), ((PONG, b"\x00\xff\xfe\xfd\xfc\xfb\x00\xff"),)
    ),
    "2.4": Case((frame(PING, b"\xfe" * 125), BYE), ((PONG, b"\xfe" * 125),)),
    "2.5": refused(frame(PING, b"\xfe" * 126)),
    "2.6": Case((*chops(frame(PING, b"\xfe" * 125)), BYE), ((PONG, b"\xfe" * 125),)),
    "2.7": Case((frame(PONG), BYE)),
    "2.8": Case((frame(PONG, b"unsolicited pong payload"), BYE)),
    "2.9": Case((frame(PONG, b"unsolicited"), frame(PING, b"ping payload"), BYE), ((PONG, b"ping payload"),)),
    "2.10": Case((PINGS, BYE), PONGS),
    "2.11": Case((*chops(PINGS), BYE), PONGS),
    "3.1": refused(frame(TEXT, HELLO, rsv=1)),
    "3.2": refused(frame(TEXT, HELLO), frame(TEXT, HELLO, rsv=2), frame(PING), answers=((TEXT, HELLO),)),
    "3.3": refused(frame(TEXT, HELLO), frame(TEXT, HELLO, rsv=3), frame(PING), answers=((TEXT, HELLO),)),
    "3.4": refused(*chops(frame(TEXT, HELLO) + frame(TEXT, HELLO, rsv=4) + frame(PING)), answers=((TEXT, HELLO),)),
    "3.5": refused(frame(BINARY, HELLO, rsv=5)),
    "3.6": refused(frame(PING, HELLO, rsv=6)),
    "3.7": refused(frame(CLOSE, rsv=7)),
}
for group, codes in enumerate(((3, 4, 5, 6, 7), (11, 12, 13, 14, 15)), 1):
    one, two, three, four, five = codes
    after = ((TEXT, HELLO),)
    CASES |= {
        f"4.{group}.1": refused(frame(one)),
        f"4.{group}.2": refused(frame(two, b"reserved opcode payload")),
        f"4.{group}.3": refused(frame(TEXT, HELLO), frame(three), frame(PING), answers=after),
        f"4.{group}.4": refused(frame(TEXT, HELLO), frame(four, HELLO), frame(PING), answers=after),
        f"4.{group}.5": refused(*chops(frame(TEXT, HELLO) + frame(five, HELLO) + frame(PING)), answers=after),
    }

_whole, _pinged = ((TEXT, TWO),), ((PONG, b"ping payload"), (TEXT, TWO))
_text, _text_pinged = (
    fragments(TEXT, PART_1, PART_2),
    fragments(TEXT, PART_1, PART_2, between=frame(PING, b"ping payload")),
)
_frame_1, _frame_2 = frame(TEXT, PART_1, fin=False), frame(CONTINUATION, PART_2)
_five = fragments(TEXT, b"fragment1", b"fragment2", b"fragment3", b"fragment4", b"fragment5")
_with_pings = (
    fragments(TEXT, b"fragment1", b"fragment2", b"", between=b"")[: -len(frame(CONTINUATION))]
    + frame(PING, b"pongme 1!")
    + b"".join(frame(CONTINUATION, part, fin=False) for part in (b"fragment3", b"fragment4"))
    + frame(PING, b"pongme 2!")
    + frame(CONTINUATION, b"fragment5")
)
_five_answers = (
    (PONG, b"pongme 1!"),
    (PONG, b"pongme 2!"),
    (TEXT, b"fragment1fragment2fragment3fragment4fragment5"),
)
_continued = frame(CONTINUATION, b"non-continuation payload")
_unfinished = frame(CONTINUATION, b"non-continuation payload", fin=False)
CASES |= {
    "5.1": refused(fragments(PING, PART_1, PART_2)),
    "5.2": refused(fragments(PONG, PART_1, PART_2)),
    "5.3": Case((_text, BYE), _whole),
    "5.4": Case((_frame_1, _frame_2, BYE), _whole),
    "5.5": Case((*chops(_text), BYE), _whole),
    "5.6": Case((_text_pinged, BYE), _pinged),
    "5.7": Case((_frame_1, frame(PING, b"ping payload"), _frame_2, BYE), _pinged),
    "5.8": Case((*chops(_text_pinged), BYE), _pinged),
    "5.9": refused(_continued + frame(TEXT, HELLO)),
    "5.10": refused(_continued, frame(TEXT, HELLO)),
    "5.11": refused(*chops(_continued + frame(TEXT, HELLO))),
    "5.12": refused(_unfinished + frame(TEXT, HELLO)),
    "5.13": refused(_unfinished, frame(TEXT, HELLO)),
    "5.14": refused(*chops(_unfinished + frame(TEXT, HELLO))),
    "5.15": refused(_text, _unfinished, frame(TEXT, HELLO), answers=_whole),
    "5.16": refused(
        *(frame(CONTINUATION, b"1", fin=False), frame(TEXT, b"2", fin=False), frame(CONTINUATION, b"3")) * 2
    ),
    "5.17": refused(*(frame(CONTINUATION, b"1"), frame(TEXT, b"2", fin=False), frame(CONTINUATION, b"3")) * 2),
    "5.18": refused(frame(TEXT, PART_1, fin=False), frame(TEXT, PART_2)),
    "5.19": Case((*chops(_with_pings, 40), BYE), _five_answers),
    "5.20": Case((_with_pings, BYE), _five_answers),
    "6.1.1": echoed(TEXT, b""),
    "6.1.2": Case((fragments(TEXT, b"", b"", b""), BYE), ((TEXT, b""),)),
    "6.1.3": Case((fragments(TEXT, b"", b"middle frame payload", b""), BYE), ((TEXT, b"middle frame payload"),)),
}

GREEK = bytes.fromhex("cebae1bdb9cf83cebcceb5")
UMLAUTS = "Hello-µ@ßöäüàá-UTF-8!!".encode()
SURROGATE, BEYOND, EDITED = bytes.fromhex("eda080"), bytes.fromhex("f4908080"), b"edited"
_broken, _beyond = GREEK + SURROGATE + EDITED, GREEK + BEYOND + EDITED
_beyond_frame = frame(TEXT, _beyond)
CASES |= {
    "6.2.1": echoed(TEXT, UMLAUTS),
    "6.2.2": Case((fragments(TEXT, UMLAUTS[:12], UMLAUTS[12:]), BYE), ((TEXT, UMLAUTS),)),
    "6.2.3": Case((fragments(TEXT, *chops(UMLAUTS)), BYE), ((TEXT, UMLAUTS),)),
    "6.2.4": Case((fragments(TEXT, *chops(GREEK)), BYE), ((TEXT, GREEK),)),
    "6.3.1": refused(frame(TEXT, _broken), code=1007),
    "6.3.2": refused(fragments(TEXT, *chops(_broken)), code=1007),
    # To fail fast: what would make the message complete, or only wrong by its end, is never sent.
    "6.4.1": refused(frame(TEXT, GREEK, fin=False), frame(CONTINUATION, BEYOND, fin=False), code=1007),
    "6.4.2": refused(
        frame(TEXT, GREEK + BEYOND[:1], fin=False), frame(CONTINUATION, BEYOND[1:2], fin=False), code=1007
    ),
    "6.4.3": refused(
        _beyond_frame[: 6 + len(GREEK)], _beyond_frame[6 + len(GREEK) : 6 + len(GREEK + BEYOND)], code=1007
    ),
    "6.4.4": refused(
        _beyond_frame[: 6 + len(GREEK) + 1], _beyond_frame[6 + len(GREEK) + 1 : 6 + len(GREEK) + 2], code=1007
    ),
}


def _spaced(first: int, last: int) -> str:
    return b"".join(bytes((byte, 0x20)) for byte in range(first, last)).hex()


_MISSING = ["c0", "e080", "f08080", "f8808080", "fc80808080", "df", "efbf", "f7bfbf", "fbbfbfbf", "fdbfbfbfbf"]
_NONCHARACTERS = [
    f"{first}{second}bf{third}"
    for first in ("f0", "f1", "f2", "f3", "f4")
    for second in ("8f", "9f", "af", "bf")
    for third in ("be", "bf")
    if not (first == "f4" and second != "8f") and (first, second) != ("f0", "8f")
]
VALID, INVALID = True, False
UTF8: list[list[tuple[bool, str]]] = [
    [
        (VALID, part.encode().hex())
        for part in ("hello$world", "hello¢world", "hello€world", "hello\U00024b62world", "κόσμε")
    ],
    [(size in {2, 5, 7, 9, 11}, GREEK[:size].hex()) for size in range(1, 12)],
    [(VALID, part) for part in ("00", "c280", "e0a080", "f0908080")],
    [(INVALID, part) for part in ("f888808080", "fc8480808080")],
    [(VALID, part) for part in ("7f", "dfbf", "efbfbf", "f48fbfbf")],
    [(INVALID, part) for part in ("f7bfbfbf", "fbbfbfbfbf", "fdbfbfbfbfbf")],
    [(VALID, "ed9fbf"), (VALID, "ee8080"), (VALID, "efbfbd"), (VALID, "f48fbfbf"), (INVALID, "f4908080")],
    [
        *((INVALID, part) for part in ("80", "bf", "80bf", "80bf80", "80bf80bf", "80bf80bf80", "80bf80bf80bf")),
        (INVALID, bytes(range(0x80, 0xBF)).hex()),
    ],
    [(INVALID, _spaced(*ends)) for ends in ((0xC0, 0xDF), (0xE0, 0xEF), (0xF0, 0xF7), (0xF8, 0xFB), (0xFC, 0xFD))],
    [(INVALID, part) for part in _MISSING],
    [(INVALID, "".join(_MISSING))],
    [(INVALID, part) for part in ("fe", "ff", "fefeffff")],
    [(INVALID, part) for part in ("c0af", "e080af", "f08080af", "f8808080af", "fc80808080af")],
    [(INVALID, part) for part in ("c1bf", "e09fbf", "f08fbfbf", "f887bfbfbf", "fc83bfbfbfbf")],
    [(INVALID, part) for part in ("c080", "e08080", "f0808080", "f880808080", "fc8080808080")],
    [(INVALID, part) for part in ("eda080", "edadbf", "edae80", "edafbf", "edb080", "edbe80", "edbfbf")],
    [(INVALID, high + low) for high in ("eda080", "edadbf", "edae80", "edafbf") for low in ("edb080", "edbfbf")],
    [(VALID, part) for part in ("efbfbe", "efbfbf", *_NONCHARACTERS)],
    [(VALID, "efbf" + part) for part in ("b9", "ba", "bb", "bc", "bd", "be", "bf")],
]
for group, sequences in enumerate(UTF8, 5):
    for number, (valid, text) in enumerate(sequences, 1):
        payload = bytes.fromhex(text)
        CASES[f"6.{group}.{number}"] = echoed(TEXT, payload) if valid else refused(frame(TEXT, payload), code=1007)

_large = b"BAsd7&jh23" * 26215
CASES |= {
    "7.1.1": Case((frame(TEXT, HELLO), BYE), ((TEXT, HELLO),)),
    "7.1.2": Case((BYE, frame(CLOSE))),
    "7.1.3": Case((BYE, frame(PING))),
    "7.1.4": Case((BYE, frame(TEXT, HELLO))),
    "7.1.5": Case((_frame_1, BYE, _frame_2)),
    "7.1.6": Case((frame(TEXT, _large), frame(TEXT, HELLO), BYE, frame(PING)), ((TEXT, _large), (TEXT, HELLO))),
    "7.3.1": Case((close(),), codes=(1005,)),
    "7.3.2": refused(frame(CLOSE, b"a")),
    "7.3.3": Case((BYE,)),
    "7.3.4": Case((close(1000, HELLO),)),
    "7.3.5": Case((close(1000, b"*" * 123),)),
    "7.3.6": refused(close(1000, b"*" * 124)),
    "7.5.1": Case((close(1000, _broken),), codes=(1007,)),
    **{
        f"7.7.{n}": Case((close(code),), codes=(code,))
        for n, code in enumerate((1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999), 1)
    },
    **{
        f"7.9.{n}": refused(close(code)) for n, code in enumerate((0, 999, 1004, 1005, 1006, 1016, 1100, 2000, 2999), 1)
    },
    "7.13.1": refused(close(5000)),
    "7.13.2": refused(close(65535)),
    "10.1.1": Case((fragments(TEXT, *chops(b"*" * 65536, 1300)), BYE), ((TEXT, b"*" * 65536),)),
}

# Of megabytes, and of thousands of messages: `make conformance`.
LONG: dict[str, Case] = {}
for opcode, groups in ((TEXT, (1, 3, 5, 7)), (BINARY, (2, 4, 6, 8))):
    whole, parts, chopped, many = groups
    for number, size in enumerate((64 * KIB, 256 * KIB, MIB, 4 * MIB, 8 * MIB, 16 * MIB), 1):
        LONG[f"9.{whole}.{number}"] = echoed(opcode, b"*" * size)
    for number, size in enumerate((64, 256, KIB, 4 * KIB, 16 * KIB, 64 * KIB, 256 * KIB, MIB, 4 * MIB), 1):
        message = b"*" * (4 * MIB)
        LONG[f"9.{parts}.{number}"] = Case((fragments(opcode, *chops(message, size)), BYE), ((opcode, message),))
    for number, size in enumerate((64, 128, 256, 512, 1024, 2048), 1):
        LONG[f"9.{chopped}.{number}"] = echoed(opcode, b"*" * MIB, size)
    for number, size in enumerate((0, 16, 64, 256, 1024, 4096), 1):
        LONG[f"9.{many}.{number}"] = Case((frame(opcode, b"*" * size) * 1000, BYE), ((opcode, b"*" * size),) * 1000)
