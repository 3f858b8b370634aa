"""RFC 6455 without I/O and clock: parses a client's bytes into messages, and makes the frames that a server sends.

The events do not depend on how the bytes are split. A message is plain `bytes` (binary) or `str` (text), so that an audio frame
costs one object. `python -m tests.bench.frames` measures it.
"""

from __future__ import annotations

import struct
import sys
from codecs import getincrementaldecoder
from typing import TYPE_CHECKING, Final

from server.net.websocket.events import Closed, PingFrame, PongFrame, Violated
from server.net.websocket.mask import unmask
from streaming.long_text import LongText
from streaming.rfc6455 import INVALID_PAYLOAD, MESSAGE_TOO_BIG, NO_CODE, PROTOCOL_ERROR, SENT

if TYPE_CHECKING:
    from codecs import IncrementalDecoder

    from server.net.websocket.events import SocketEvent

CONTINUATION: Final = 0x0
TEXT: Final = 0x1
BINARY: Final = 0x2
CLOSE, PING, PONG = 0x8, 0x9, 0xA
FIN: Final = 0x80  # bits of a frame's first byte
RESERVED, OPCODE, CONTROL = 0x70, 0x0F, 0x08
MASKED: Final = 0x80  # bits of its second byte
LENGTH: Final = 0x7F
MAX_CONTROL_BYTES: Final = 125  # section 5.5
MAX_REASON_BYTES = MAX_CONTROL_BYTES - 2  # a close frame's payload without its code
_16_BIT: Final = 126  # in place of a length: it follows in two bytes; 127: in eight
_FINAL_BINARY: Final = FIN | BINARY
_MASKED_16_BIT: Final = MASKED | _16_BIT
# Of a whole message whose length takes two bytes. These and four bytes of mask follow.
_LONE_HEADS = frozenset({bytes((_FINAL_BINARY, _MASKED_16_BIT)), bytes((FIN | TEXT, _MASKED_16_BIT))})
_LONE_HEAD_BYTES, _SHORT_HEAD_BYTES = 8, 6
AUDIO_IN_ONE = 16  # so many frames of audio count as one other: a text may be a command, which costs ten times as much
AUDIO_BYTES = 256  # any other frame counts as one of audio more for each: long texts cost milliseconds
LONG_TEXT_BYTES: Final = 256 * 1024  # only OpenAI's dialect takes longer texts
_OPCODES = frozenset({CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG})
_HEAD_16_BIT: Final = struct.Struct("!BBH")
_HEAD_64_BIT: Final = struct.Struct("!BBQ")
_NOT_UTF8 = "text has to be UTF-8"

_utf8_decoder = getincrementaldecoder("utf-8")


class ViolationError(Exception):
    """A frame violates the protocol."""

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class FrameReader:
    """Parses one client's frames. `max_message_bytes` limits a message, and so what is buffered of an unfinished one.

    If `long_texts`, texts of more than LONG_TEXT_BYTES are left as they are: LongText.
    """

    __slots__ = (
        "_between",
        "_decoded_bytes",
        "_decoder",
        "_dropped",
        "_final",
        "_head",
        "_left_bytes",
        "_mask",
        "_max_bytes",
        "_message",
        "_opcode",
        "_rest",
        "_rest_at",
        "_usual_bytes",
        "_usual_head",
        "begun",
        "ended",
        "pieces",
    )

    def __init__(self, max_message_bytes: int, long_texts: bool = False) -> None:
        self.begun = 0  # messages that did not come in one piece
        self.pieces = 0  # the pieces of such messages so far; whoever limits them may reset it
        self.ended = False  # closed or violated: further data is ignored
        self._max_bytes = max_message_bytes
        self._decoded_bytes = LONG_TEXT_BYTES if long_texts else sys.maxsize
        self._head = b""  # an incomplete header or control frame
        self._rest, self._rest_at = b"", 0  # bytes that `feed` did not get to, and where they begin
        self._opcode = CONTINUATION  # of the unfinished message; CONTINUATION: there is none
        self._message: bytearray | None = None  # the part of it that has arrived
        self._decoder: IncrementalDecoder | None = None  # checks unfinished text as it arrives
        self._dropped = False  # nothing of it is kept
        self._left_bytes = 0  # missing from a data frame that has partly arrived
        self._mask = b""  # that frame's mask, rotated to its next byte
        self._final = False  # True if that frame is the last of its message
        self._between = True  # no message, header or data is unfinished, and nothing has ended
        self._usual_head, self._usual_bytes = b"", -1  # of the newest frame that came alone: most are like it

    @property
    def unfinished(self) -> bool:
        """True while a message is incomplete."""
        return self._opcode != CONTINUATION

    @property
    def kept_bytes(self) -> int:
        """Of the unfinished message, what has arrived."""
        return len(self._message) if self._message is not None else 0

    @property
    def crowded(self) -> bool:
        """True if `feed` or `more` stopped before the end of the bytes: call `more`."""
        return self._rest != b""

    def drop(self) -> None:
        """Keep nothing of the unfinished message, for which there is no room. It comes as an empty one."""
        self._dropped, self._message = True, bytearray() if self._opcode == BINARY else LongText()

    def lone(self, data: bytes) -> bytes | str | None:
        """The message, if these bytes are one whole frame, as most clients send them: the hot path. None: nothing was taken, so call `feed`."""
        if not self._between:
            return None
        if len(data) != self._usual_bytes or data[:4] != self._usual_head:
            if not self._is_whole(data):
                return self._short(data)
            self._usual_head, self._usual_bytes = data[:4], len(data)
        payload = unmask(data[4:8], data[8:])
        if data[0] == _FINAL_BINARY:
            return payload
        try:
            return payload.decode()
        except UnicodeDecodeError:
            return None  # `feed` finds the same, and says so

    def _is_whole(self, data: bytes) -> bool:
        """True for one whole message whose length takes two bytes."""
        if data[:2] not in _LONE_HEADS or len(data) <= _LONE_HEAD_BYTES:
            return False
        length = data[2] << 8 | data[3]
        return MAX_CONTROL_BYTES < length <= self._max_bytes and len(data) == _LONE_HEAD_BYTES + length

    def _short(self, data: bytes) -> str | None:
        """A text whose length takes one byte, if it is valid and whole: a heartbeat, for example."""
        length = len(data) - _SHORT_HEAD_BYTES
        if not 0 <= length <= min(MAX_CONTROL_BYTES, self._max_bytes) or data[:2] != bytes(
            (FIN | TEXT, MASKED | length)
        ):
            return None
        try:
            return unmask(data[2:_SHORT_HEAD_BYTES], data[_SHORT_HEAD_BYTES:]).decode()
        except UnicodeDecodeError:
            return None

    def feed(self, data: bytes, most: int = sys.maxsize) -> list[SocketEvent]:
        """The events that these bytes complete, in order. Stops after `most` frames; `more` goes on from there.

        AUDIO_IN_ONE frames of audio count as one, so that a loop that is late takes all that a microphone has sent meanwhile.
        """
        if self.ended:
            return []
        if self._rest:
            data = self._rest[self._rest_at :] + data
            self._rest = b""
        elif self._head:
            data, self._head = self._head + data, b""
        return self._events(data, 0, most)

    def more(self, most: int) -> list[SocketEvent]:
        """The next events of the bytes that `feed` did not get to."""
        rest, self._rest = self._rest, b""
        return self._events(rest, self._rest_at, most)

    def _events(self, data: bytes, at: int, most: int) -> list[SocketEvent]:
        events: list[SocketEvent] = []
        try:
            self._read(data, at, events, most)
        except ViolationError as violation:
            self.end()
            events.append(Violated(violation.code, violation.reason))
        self._between = not (self.ended or self._head or self._rest) and self._opcode == CONTINUATION
        return events

    def _read(self, data: bytes, at: int, events: list[SocketEvent], most: int) -> None:
        """Parse. The hot path is inlined: a complete final binary frame with a length of one or two bytes."""
        size, left = len(data), most * AUDIO_IN_ONE
        if self._left_bytes and most:
            at = self._read_payload(data, at, events)
        # The last byte of a message may come alone, and its turn later.
        while (at + 2 <= size or (self._left_bytes and at < size)) and not self.ended:
            if left <= 0:
                self._rest, self._rest_at = data, at
                return
            if data[at] == _FINAL_BINARY and self._opcode == CONTINUATION:
                second = data[at + 1]
                if second == _MASKED_16_BIT and at + 8 <= size:
                    length = data[at + 2] << 8 | data[at + 3]
                    start = at + 8
                    end = start + length
                    if MAX_CONTROL_BYTES < length <= self._max_bytes and end <= size:
                        events.append(unmask(data[at + 4 : start], data[start:end]))
                        at = end
                        left -= 1
                        continue
            begin = at
            at = self._read_frame(data, at, events)
            left -= AUDIO_IN_ONE + (at - begin) // AUDIO_BYTES
        if at < size and not self.ended:
            self._head = data[at:]

    def _read_frame(self, data: bytes, at: int, events: list[SocketEvent]) -> int:
        """Parse any frame, or the part of it that is there; returns where the next one begins."""
        first, second = data[at], data[at + 1]
        self._check_start(first, second)
        length, start = _length(data, at)
        if not first & CONTROL:
            kept_bytes = len(self._message) if self._message is not None else 0
            if kept_bytes + length > self._max_bytes:
                raise ViolationError(MESSAGE_TOO_BIG, f"a message may have at most {self._max_bytes:,} bytes")
        if start > len(data) or (first & CONTROL and start + length > len(data)):
            self._head = data[at:]
            return len(data)
        if first & CONTROL:
            events.append(self._control(first & OPCODE, unmask(data[start - 4 : start], data[start : start + length])))
            return start + length
        if first & OPCODE:
            self._opcode = first & OPCODE
        self._final, self._left_bytes, self._mask = bool(first & FIN), length, data[start - 4 : start]
        return self._read_payload(data, start, events)

    def _check_start(self, first: int, second: int) -> None:
        """Check a frame's first two bytes (section 5.2)."""
        opcode = first & OPCODE
        if first & RESERVED:
            raise ViolationError(PROTOCOL_ERROR, "no extension was negotiated: reserved bits must be 0")
        if opcode not in _OPCODES:
            raise ViolationError(PROTOCOL_ERROR, f"there is no opcode {opcode}")
        if not second & MASKED:
            raise ViolationError(PROTOCOL_ERROR, "a client must mask its frames")
        if first & CONTROL:
            if not first & FIN or second & LENGTH > MAX_CONTROL_BYTES:
                raise ViolationError(PROTOCOL_ERROR, "a control frame is one frame of at most 125 bytes")
        elif (opcode == CONTINUATION) is not self.unfinished:
            wrong = "the message before is not finished" if self.unfinished else "there is no message to continue"
            raise ViolationError(PROTOCOL_ERROR, wrong)

    def _read_payload(self, data: bytes, at: int, events: list[SocketEvent]) -> int:
        """Parse the available part of a data frame's payload; returns where it ends."""
        piece = unmask(self._mask, data[at : at + self._left_bytes])
        turn = len(piece) % 4
        self._mask = self._mask[turn:] + self._mask[:turn]
        self._left_bytes -= len(piece)
        complete = self._final and not self._left_bytes
        if complete and self._message is None:
            events.append(piece if self._opcode == BINARY else _decoded(piece))
        else:
            self._keep(piece, complete=complete)
            self.pieces += 1
            if complete:
                assert self._message is not None, "it has just been kept"
                events.append(self._whole(self._message))
        if complete:
            self._opcode, self._message, self._decoder, self._dropped = CONTINUATION, None, None, False
        return at + len(piece)

    def _whole(self, message: bytearray) -> SocketEvent:
        """A message that came in pieces. Those of a text were checked as they came."""
        if not isinstance(message, LongText):
            return bytes(message)
        return message if len(message) > self._decoded_bytes else message.decode()

    def _keep(self, piece: bytes, *, complete: bool) -> None:
        """Add a part of a message. Invalid text is refused at once, because it can never become valid."""
        if self._message is None:
            self._message = bytearray() if self._opcode == BINARY else LongText()
            self.begun += 1
        if self._dropped:
            return
        self._message += piece
        if self._opcode == TEXT and not (self._decoder is None and piece.isascii()):  # which takes a tenth of the time
            if self._decoder is None:
                self._decoder = _utf8_decoder()
            try:
                self._decoder.decode(piece, complete)
            except UnicodeDecodeError:
                raise ViolationError(INVALID_PAYLOAD, _NOT_UTF8) from None

    def _control(self, opcode: int, payload: bytes) -> SocketEvent:
        if opcode == PING:
            return PingFrame(payload)
        if opcode == PONG:
            return PongFrame(payload)
        closed = _closed(payload)
        self.end()
        return closed

    def end(self) -> None:
        """Ignore all further data."""
        self.ended = True
        self._head = self._rest = b""
        self._message, self._decoder, self._left_bytes, self._opcode = None, None, 0, CONTINUATION


def _length(data: bytes, at: int) -> tuple[int, int]:
    """A frame's length, and where its payload begins; that is after `data` while the header is incomplete."""
    length = data[at + 1] & LENGTH
    if length <= MAX_CONTROL_BYTES:
        return length, at + 6
    size, shortest = (2, 126) if length == _16_BIT else (8, 65536)
    if at + 2 + size > len(data):
        return 0, len(data) + 1
    length = int.from_bytes(data[at + 2 : at + 2 + size], "big")
    if length < shortest or length >> 63:
        raise ViolationError(PROTOCOL_ERROR, "a length must be encoded in as few bytes as possible")
    return length, at + 6 + size


def _decoded(payload: bytes) -> str:
    try:
        return payload.decode()
    except UnicodeDecodeError:
        raise ViolationError(INVALID_PAYLOAD, _NOT_UTF8) from None


def _closed(payload: bytes) -> Closed:
    """Parse a close frame's payload (section 5.5.1)."""
    if not payload:
        return Closed(NO_CODE, "")
    if len(payload) == 1:
        raise ViolationError(PROTOCOL_ERROR, "a close code has two bytes")
    code = int.from_bytes(payload[:2], "big")
    if not may_be_sent(code):
        raise ViolationError(PROTOCOL_ERROR, f"{code} is not a close code that may be sent")
    return Closed(code, _decoded(payload[2:]))


def may_be_sent(code: int) -> bool:
    """True if an endpoint may send this close code; 3000 to 4999 are free for applications."""
    return code in SENT or 3000 <= code < 5000


# --- frames of a server: never masked or fragmented ---


def data_frame(message: bytes | str) -> bytes:
    """The frame of a whole message."""
    if type(message) is str:
        opcode, payload = TEXT, message.encode()
    else:
        assert type(message) is bytes, "a message is bytes or str"
        opcode, payload = BINARY, message
    length = len(payload)
    if length <= MAX_CONTROL_BYTES:
        return bytes((FIN | opcode, length)) + payload
    if length < 65536:
        return _HEAD_16_BIT.pack(FIN | opcode, _16_BIT, length) + payload
    return _HEAD_64_BIT.pack(FIN | opcode, LENGTH, length) + payload


def ping_frame(payload: bytes = b"") -> bytes:
    """A ping frame; the payload has at most 125 bytes."""
    return _control_frame(PING, payload)


def pong_frame(payload: bytes) -> bytes:
    """The pong frame that answers a ping with that payload."""
    return _control_frame(PONG, payload)


def close_frame(code: int | None, reason: str = "") -> bytes:
    """A close frame; `reason` is cut to fit. Raises ValueError for a code that must not be sent."""
    if code is None:
        return _control_frame(CLOSE, b"")
    if not may_be_sent(code):
        raise ValueError(f"{code} is not a close code that may be sent")
    cut = reason.encode()[:MAX_REASON_BYTES].decode(errors="ignore").encode()
    return _control_frame(CLOSE, code.to_bytes(2, "big") + cut)


def _control_frame(opcode: int, payload: bytes) -> bytes:
    if len(payload) > MAX_CONTROL_BYTES:
        raise ValueError("a control frame has at most 125 bytes")
    return bytes((FIN | opcode, len(payload))) + payload
