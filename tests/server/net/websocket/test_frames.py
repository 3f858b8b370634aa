"""RFC 6455 frames: their meaning, and the close codes of invalid ones, for any split of the bytes."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from server.net.websocket import frames
from server.net.websocket.events import Closed, PingFrame, PongFrame, SocketEvent, Violated
from server.net.websocket.frames import LONG_TEXT_BYTES, FrameReader
from server.net.websocket.mask import unmask, xor_by_integers
from streaming.long_text import LongText
from tests.server.net.websocket.client_frames import BINARY, CLOSE, CONTINUATION, PING, PONG, TEXT, close, frame

MAX_BYTES = 1000


def read(*pieces: bytes, max_bytes: int = MAX_BYTES) -> list[SocketEvent]:
    """The events of these pieces, which must be the same on the hot path of a socket."""
    reader, socket = FrameReader(max_bytes), FrameReader(max_bytes)
    events = [event for piece in pieces for event in reader.feed(piece)]
    hot: list[SocketEvent] = []
    for piece in pieces:
        lone = socket.lone(piece)
        hot += socket.feed(piece) if lone is None else [lone]
    assert hot == events
    return events


def code_of(events: list[SocketEvent]) -> int:
    [*_, last] = events
    assert isinstance(last, Violated)
    assert last.reason
    return last.code


RIGHT: dict[str, tuple[bytes, list[SocketEvent]]] = {
    "text": (frame(TEXT, "Grüße".encode()), ["Grüße"]),
    "binary": (frame(BINARY, bytes(range(256))), [bytes(range(256))]),
    "nothing": (frame(TEXT) + frame(BINARY), ["", b""]),
    "the longest short one": (frame(BINARY, bytes(125)), [bytes(125)]),
    "the shortest long one": (frame(BINARY, bytes(126)), [bytes(126)]),
    "the longest message": (frame(BINARY, bytes(MAX_BYTES)), [bytes(MAX_BYTES)]),
    "fragments": (
        frame(TEXT, b"a", fin=False) + frame(CONTINUATION, b"b", fin=False) + frame(CONTINUATION, b"c"),
        ["abc"],
    ),
    "fragments in a character": (frame(TEXT, b"\xf0\x9f", fin=False) + frame(CONTINUATION, b"\x98\x80"), ["😀"]),
    "empty fragments": (frame(BINARY, fin=False) + frame(CONTINUATION, fin=False) + frame(CONTINUATION), [b""]),
    "a ping between fragments": (
        frame(BINARY, b"a", fin=False) + frame(PING, b"?") + frame(CONTINUATION, b"b"),
        [PingFrame(b"?"), b"ab"],
    ),
    "pong": (frame(PONG, b"!"), [PongFrame(b"!")]),
    "close": (close(1000, b"bye") + frame(TEXT, b"ignored"), [Closed(1000, "bye")]),
    "close without a code": (close(), [Closed(1005, "")]),
}


@pytest.mark.parametrize(("data", "events"), RIGHT.values(), ids=RIGHT)
def test_what_frames_mean(data: bytes, events: list[SocketEvent]) -> None:
    assert read(data) == events
    assert read(*(data[at : at + 1] for at in range(len(data)))) == events


@pytest.mark.parametrize("size", [126, 640, MAX_BYTES])
@pytest.mark.parametrize("opcode", [BINARY, TEXT])
def test_a_frame_that_comes_alone_takes_the_hot_path(opcode: int, size: int) -> None:
    reader = FrameReader(MAX_BYTES)
    payload = b"x" * size
    for _ in range(2):
        assert reader.lone(frame(opcode, payload)) == (payload if opcode == BINARY else payload.decode())
    assert reader.lone(frame(opcode, payload)[:-1]) is None
    assert reader.lone(frame(opcode, payload) + b"\0") is None


@pytest.mark.parametrize("size", [0, 1, 125])
def test_a_short_text_that_comes_alone_does_too(size: int) -> None:
    reader = FrameReader(MAX_BYTES)
    whole = frame(TEXT, b"x" * size)
    assert reader.lone(whole) == "x" * size
    for other in (whole[:-1], whole + b"\0", frame(TEXT, b"x" * size, fin=False), frame(PING, b"x" * size)):
        assert reader.lone(other) is None
    assert reader.lone(frame(TEXT, b"\xff" * 5)) is None
    assert FrameReader(3).lone(frame(TEXT, b"1234")) is None


def test_nothing_is_alone_within_a_message_or_behind_the_end() -> None:
    reader = FrameReader(MAX_BYTES)
    whole = frame(BINARY, bytes(200))
    reader.feed(frame(BINARY, b"begun", fin=False))
    assert reader.lone(whole) is None
    reader.feed(frame(CONTINUATION, b"done"))
    assert reader.lone(whole) == bytes(200)
    reader.feed(whole[:5])
    assert reader.lone(whole) is None
    reader.feed(whole[5:] + close())
    assert reader.lone(whole) is None
    crowded = FrameReader(MAX_BYTES)
    crowded.feed(frame(TEXT, b"1") + frame(TEXT, b"2"), 1)
    assert crowded.lone(whole) is None


def test_a_message_of_more_than_64_kib() -> None:
    payload = bytes(range(256)) * 300
    assert read(frame(BINARY, payload), max_bytes=100_000) == [payload]


WRONG: dict[str, tuple[bytes, int]] = {
    "unmasked text": (frame(TEXT, b"a", mask=None), 1002),
    "unmasked close": (frame(CLOSE, mask=None), 1002),
    "unmasked long binary": (frame(BINARY, bytes(200), mask=None), 1002),
    **{f"reserved bits {rsv}": (frame(BINARY, bytes(200), rsv=rsv), 1002) for rsv in range(1, 8)},
    **{f"opcode {opcode}": (frame(opcode), 1002) for opcode in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)},
    "ping in fragments": (frame(PING, fin=False), 1002),
    "long ping": (frame(PING, bytes(126)), 1002),
    "long close": (close(1000, bytes(124)), 1002),
    "length 125 in two bytes": (frame(BINARY, bytes(125), length_bytes=2), 1002),
    "length 0 in two bytes": (frame(TEXT, length_bytes=2), 1002),
    "length 65535 in eight bytes": (frame(BINARY, bytes(65535), length_bytes=8), 1002),
    "length with the highest bit": (b"\x82\xff" + b"\x80" + bytes(7) + bytes(4), 1002),
    "nothing to continue": (frame(CONTINUATION, b"a"), 1002),
    "continuation of a finished message": (frame(TEXT, b"a") + frame(CONTINUATION, b"a"), 1002),
    "message in a message": (frame(TEXT, b"a", fin=False) + frame(BINARY, bytes(200)), 1002),
    "close code of one byte": (frame(CLOSE, b"\x03"), 1002),
    **{f"close code {code}": (close(code), 1002) for code in (0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535)},
    "close reason": (close(1000, b"\xff"), 1007),
    "text": (frame(TEXT, b"\xc0\x80"), 1007),
    "surrogate": (frame(TEXT, b"\xed\xa0\x80"), 1007),
    "half a character": (frame(TEXT, b"\xf0\x9f"), 1007),
    "half a character in fragments": (frame(TEXT, b"\xf0", fin=False) + frame(CONTINUATION, b"\x9f"), 1007),
    "one byte too many": (frame(BINARY, bytes(MAX_BYTES + 1)), 1009),
    "one fragment too many": (frame(TEXT, b"a" * MAX_BYTES, fin=False) + frame(CONTINUATION, b"a"), 1009),
    "a length of 2^63 - 1": (b"\x82\xff\x7f" + b"\xff" * 7 + bytes(4), 1009),
}


@pytest.mark.parametrize(("data", "code"), WRONG.values(), ids=WRONG)
def test_what_is_refused(data: bytes, code: int) -> None:
    assert code_of(read(data + frame(TEXT, b"behind it"))) == code
    assert code_of(read(*(data[at : at + 1] for at in range(len(data))))) == code


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1012, 1013, 1014, 3000, 3999, 4000, 4999])
def test_close_codes_that_may_be_sent(code: int) -> None:
    assert read(close(code)) == [Closed(code, "")]


EARLY = {
    "the start": (frame(TEXT, bytes(100), rsv=1)[:2], 1002),
    "a length before its mask": (frame(BINARY, bytes(MAX_BYTES + 1))[:4], 1009),
    "text that cannot become right": (frame(TEXT, b"\xf4\x90" + bytes(50))[:8], 1007),
    "an unfinished fragment": (frame(TEXT, b"\xf4\x90", fin=False), 1007),
}


@pytest.mark.parametrize(("data", "code"), EARLY.values(), ids=EARLY)
def test_nothing_wrong_is_waited_for(data: bytes, code: int) -> None:
    assert code_of(read(data)) == code


UNFINISHED = {
    "nothing": (b"", False),
    "a frame": (frame(BINARY, bytes(200))[:100], True),
    "a fragment": (frame(BINARY, b"a", fin=False), True),
    "a ping": (frame(PING, b"a")[:-1], False),
    "a message": (frame(BINARY, b"a"), False),
}


@pytest.mark.parametrize(("data", "unfinished"), UNFINISHED.values(), ids=UNFINISHED)
def test_what_is_unfinished(data: bytes, unfinished: bool) -> None:
    reader = FrameReader(MAX_BYTES)
    reader.feed(data)
    assert reader.unfinished is unfinished


payloads = st.one_of(st.binary(max_size=300), st.text(max_size=100).map(str.encode))
any_frames = st.builds(
    frame,
    st.sampled_from((CONTINUATION, TEXT, TEXT, BINARY, BINARY, BINARY, CLOSE, PING, PONG, 3, 11)),
    payloads,
    fin=st.booleans(),
    rsv=st.sampled_from((0, 0, 0, 0, 0, 0, 0, 4)),
    mask=st.one_of(st.binary(min_size=4, max_size=4)),
)


def one_fragment_after_another(payload: bytes, cuts: list[int], opcode: int) -> bytes:
    at = sorted({0, len(payload), *(cut % (len(payload) + 1) for cut in cuts)})
    pieces = [payload[begin:end] for begin, end in pairwise(at)] or [b""]
    last = len(pieces) - 1
    return b"".join(
        frame(CONTINUATION if number else opcode, piece, fin=number == last) for number, piece in enumerate(pieces)
    )


messages = st.builds(
    one_fragment_after_another, payloads, st.lists(st.integers(0), max_size=4), st.sampled_from((1, 2))
)
streams = st.lists(st.one_of(any_frames, messages, st.binary(max_size=20)), max_size=6).map(b"".join)


@given(streams, st.lists(st.integers(0), max_size=12))
@example(frame(BINARY, bytes(200)) * 2, [3, 8, 210])
@example(frame(TEXT, b"\xf4\x90", fin=False) + frame(PING), [7])
def test_any_cut_gives_the_same_events(data: bytes, cuts: list[int]) -> None:
    at = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    assert read(*(data[begin:end] for begin, end in pairwise(at))) == read(data)


@given(streams, st.integers(0, 3))
@example(frame(BINARY) * 9, 2)
@example(frame(BINARY, b"a", fin=False) + frame(CONTINUATION, fin=False) * 9 + frame(CONTINUATION), 2)
def test_a_few_frames_at_a_time_give_the_same_events(data: bytes, most: int) -> None:
    reader = FrameReader(MAX_BYTES)
    events = reader.feed(data, most)
    assert most or not events
    while reader.crowded:
        before = reader.pieces
        some = reader.more(most + 1)  # the last piece of a message is a piece and an event
        assert len(some) + reader.pieces - before <= frames.AUDIO_IN_ONE * (most + 1) + 1
        events += some
    assert events == read(data)


@pytest.mark.parametrize("missing", [1, 2, 5])
def test_a_message_whose_end_comes_alone_waits_for_its_turn_and_is_not_forgotten(missing: int) -> None:
    reader, whole = FrameReader(MAX_BYTES), frame(TEXT, b"hello")
    assert reader.feed(whole[:-missing]) == []
    assert reader.feed(whole[-missing:], 0) == []
    assert reader.crowded
    assert reader.more(2) == ["hello"]
    assert not reader.crowded


def test_a_microphone_catches_up_in_one_step_and_commands_do_not() -> None:
    reader = FrameReader(MAX_BYTES)
    audio, command = frame(BINARY, bytes(640)), frame(TEXT, b"{}")
    assert len(reader.feed(audio * 100, 2)) == 32
    reader = FrameReader(MAX_BYTES)
    assert reader.feed(command * 2 + audio * 9 + command * 9, 3) == ["{}", "{}", *[bytes(640)] * 9, "{}"]
    assert reader.crowded


def test_a_long_text_counts_as_several() -> None:
    reader = FrameReader(16_384)
    assert [len(event) for event in reader.feed(frame(TEXT, bytes(8_192)) * 4, 3) if isinstance(event, str)] == [8_192]
    assert reader.crowded
    assert len(reader.more(4)) == 2


@pytest.mark.parametrize(("long_texts", "kind"), [(True, LongText), (False, str)])
def test_a_long_text_is_left_to_whoever_wants_it_so(long_texts: bool, kind: type) -> None:
    text = "é😀" * LONG_TEXT_BYTES
    reader = FrameReader(100 * LONG_TEXT_BYTES, long_texts)
    data = frame(TEXT, text.encode())
    cut = len(data) // 2
    (event,) = [*reader.feed(data[:cut]), *reader.feed(data[cut:])]
    assert type(event) is kind
    assert (event.decode() if isinstance(event, LongText) else event) == text
    assert reader.feed(frame(TEXT, b"short")) == ["short"]


def test_no_part_of_a_long_text_is_read_for_long() -> None:
    """It was decoded again at its end, as a whole. Each of the two is the best of three, for the processor may be another's meanwhile."""
    text = "é😀".encode() * 3 * 1024 * 1024
    data = frame(TEXT, text)

    def longest_part_s() -> float:
        reader, longest_s = FrameReader(100 * LONG_TEXT_BYTES, long_texts=True), 0.0
        for at in range(0, len(data), 64 * 1024):
            began = time.thread_time()
            reader.feed(data[at : at + 64 * 1024])
            longest_s = max(longest_s, time.thread_time() - began)
        return longest_s

    def whole_s() -> float:
        began = time.thread_time()
        text.decode()
        return time.thread_time() - began

    parts_s, wholes_s = zip(*((longest_part_s(), whole_s()) for _ in range(3)), strict=True)
    assert min(parts_s) < 0.75 * min(wholes_s)


def test_what_comes_behind_unread_frames_waits_too() -> None:
    reader = FrameReader(MAX_BYTES)
    assert reader.feed(frame(BINARY, b"a") * 3 + frame(BINARY, bytes(200))[:5], 1) == [b"a"]
    assert reader.feed(frame(BINARY, bytes(200))[5:], 1) == [b"a"]
    assert reader.more(9) == [b"a", bytes(200)]
    assert not reader.crowded


@given(st.lists(st.tuples(payloads, st.lists(st.integers(0), max_size=4)), max_size=5))
def test_fragments_give_the_message(sent: list[tuple[bytes, list[int]]]) -> None:
    data = b"".join(one_fragment_after_another(payload, cuts, BINARY) for payload, cuts in sent)
    assert read(data) == [payload for payload, _ in sent]


@given(st.binary(min_size=4, max_size=4), st.binary(max_size=300))
def test_the_mask_without_the_c_function(mask: bytes, payload: bytes) -> None:
    masked = xor_by_integers(mask, payload)
    assert masked == unmask(mask, payload)
    assert masked == bytes(byte ^ mask[at % 4] for at, byte in enumerate(payload))


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_frames_sent(size: int) -> None:
    sent = frames.data_frame(bytes(size))
    assert sent == frame(BINARY, bytes(size), mask=None)


def test_control_frames_sent() -> None:
    assert frames.data_frame("ä") == frame(TEXT, "ä".encode(), mask=None)
    assert frames.ping_frame() == frame(PING, mask=None)
    assert frames.pong_frame(b"a") == frame(PONG, b"a", mask=None)
    assert frames.close_frame(None) == frame(CLOSE, mask=None)
    assert frames.close_frame(1000, "bye") == frame(CLOSE, b"\x03\xe8bye", mask=None)


def test_a_close_reason_is_cut_between_characters() -> None:
    assert len(frames.close_frame(1000, "ä" * 100)) == 2 + 2 + 122
    with pytest.raises(ValueError, match="1005"):
        frames.close_frame(1005)
    with pytest.raises(ValueError, match="125"):
        frames.ping_frame(bytes(126))
