"""Bytes of strangers, at random, into each parser that reads them: whatever comes, only the refusals that it declares.

    python -m tests.attacks.fuzz --seconds 60                 # each target in turn
    python -m tests.attacks.fuzz --only frames heads --seed 7 --seconds 3600

Inputs are mutations of valid ones. A fault ends the run with its input; `make fuzz` and tests/attacks/test_fuzz.py use the same targets.
"""

from __future__ import annotations

import argparse
import io
import json
import random
import sys
import time
from typing import TYPE_CHECKING, Any

import av

from handlers.uploads import Upload
from server.audio.decode import FileDecoder
from server.audio.errors import AudioTooLongError, UnreadableAudioError
from server.embedded.addresses import read_url
from server.errors import ApiError
from server.net.http.parser import RequestParser
from server.net.websocket.frames import FrameReader
from streaming.openai.client_events import UnreadableEventError, read
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection
from tests.server.net.http.test_parser import Heard
from tests.server.net.websocket.client_frames import BINARY, CONTINUATION, PING, TEXT, close, frame
from tests.support.gateway import AUDIO

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

MAX_INPUT_BYTES = 20_000
AUDIO_BYTES = 6_000  # of each sample file: its head and some packets
AUDIO_SUFFIXES = {".wav", ".mp3", ".ogg"}
CONTAINERS = (
    ("webm", "libopus"),
    ("matroska", "flac"),
    ("ogg", "libopus"),
    ("flac", "flac"),
    ("mp4", "aac"),
    ("mp3", "mp3"),
)
ODD = (
    b"\0",
    b"\xff",
    b"\r\n",
    b"\n",
    b"\x80",
    b'"',
    b"{",
    b"[",
    b"\\ud800",
    b"1e999",
    b"9" * 30,
    b"=",
    b"%00",
    b"\xed\xa0\x80",
    b"\x01\xff\xff\xff\xff\xff\xff\xff",  # EBML: of unknown size
    b"\x1f\x43\xb6\x75\x01\xff\xff\xff\xff\xff\xff\xff",  # a cluster of unknown size
    b"\x08\x7f\xff\xff\xff",  # EBML: 31 GiB
    b"\x1a\x45\xdf\xa3\x80",  # another file begins
    b"\xa3\x40\x80\x81\x00\x00\x86",  # a block with EBML lacing
    b"\xa3\x40\x80\x81\x00\x00\x82\xff",  # and with Xiph's
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\xff",
)


class FaultError(Exception):
    """A parser broke its promise; the text holds target, seed, number and input."""


def cut(data: bytes, dice: random.Random) -> list[bytes]:
    """The same bytes in random pieces."""
    pieces, at = [], 0
    while at < len(data):
        size = dice.choice((1, 2, 7, 100, 5_000))
        pieces.append(data[at : at + size])
        at += size
    return pieces


def frames(data: bytes, dice: random.Random) -> None:
    """Any cut gives the same events."""
    whole, reader = FrameReader(65_536).feed(data), FrameReader(65_536)
    found = [event for piece in cut(data, dice) for event in reader.feed(piece)]
    assert found == whole, "another cut, other events"


def heads(data: bytes, dice: random.Random) -> None:
    parser = RequestParser(Heard())
    try:
        for piece in cut(data, dice):
            rest = piece
            while rest:
                rest = parser.feed(rest)
    except ApiError:
        return


def messages(data: bytes, _dice: random.Random) -> None:
    """Every answer can be encoded."""
    server = ServerConnection("e1", 0.0, Limits())
    server.attach(0.0)
    try:
        for line in data.split(b"\n"):
            if line[:1] == b"\1":
                server.receive_binary(line, 0.0)
            else:
                server.receive_text(line.decode("utf-8", "replace"), 0.0)
    except RemoteProtocolError:
        pass
    for item in server.data_to_send(0.0):
        assert isinstance(item, bytes) or item.encode(), "an empty message"


def openai(data: bytes, _dice: random.Random) -> None:
    try:
        read(data.decode("utf-8", "replace"))
    except UnreadableEventError as unreadable:
        json.dumps(unreadable.event_id, ensure_ascii=False).encode()


def multipart(data: bytes, dice: random.Random) -> None:
    upload = Upload("multipart/form-data; boundary=x", "audio", ("language",))
    try:
        for piece in cut(data, dice):
            upload.feed(piece)
        upload.complete()
    except ApiError:
        pass
    finally:
        upload.close()


def containers(data: bytes, _dice: random.Random) -> None:
    decoder = FileDecoder(io.BytesIO(data), 30.0)
    try:
        while decoder.next_piece() is not None:
            pass
    except (UnreadableAudioError, AudioTooLongError):
        pass
    finally:
        decoder.close()


def urls(data: bytes, _dice: random.Random) -> None:
    read_url(data.decode("utf-8", "replace"))


def _samples() -> list[bytes]:
    """Speech in each container that is taken, whole where it is written here, else its beginning."""
    files = sorted(path for path in (*AUDIO.iterdir(), *(AUDIO / "files").iterdir()) if path.suffix in AUDIO_SUFFIXES)
    speech = (AUDIO / "flite-kal-stop.wav").read_bytes()
    return [path.read_bytes()[:AUDIO_BYTES] for path in files] + [written(speech, *kind) for kind in CONTAINERS]


def written(wav: bytes, container: str, codec: str) -> bytes:
    """The same speech in another container."""
    sink = io.BytesIO()
    with av.open(io.BytesIO(wav), "r") as source, av.open(sink, "w", format=container) as target:
        stream: Any = target.add_stream(codec, rate=48_000)
        for frame_ in source.decode(audio=0):
            target.mux(stream.encode(frame_))
        target.mux(stream.encode(None))
    return sink.getvalue()


HEAD = b"POST /api/v1/agent/intent?a=%20b HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
OPEN = b'{"type":"channel.open","id":"i","channel":1,"kind":"turn","params":{"text":"hi","time_zone":"UTC"},"seq":1}'
CALL = b'{"type":"call","id":"c","op":"agent.intent","params":{"text":"hi"},"seq":2}'
FORM = (
    b'--x\r\nContent-Disposition: form-data; name="language"\r\n\r\nen-US\r\n'
    b'--x\r\nContent-Disposition: form-data; name="audio"; filename="a.wav"\r\n\r\nRIFF\r\n--x--\r\n'
)
TARGETS: dict[str, tuple[Callable[[bytes, random.Random], None], Callable[[], list[bytes]]]] = {
    "frames": (
        frames,
        lambda: [
            frame(TEXT, b"hello") + frame(BINARY, b"x" * 200) + frame(PING, b"p") + close(1000, b"bye"),
            frame(TEXT, "é€".encode()[:3], fin=False)
            + frame(CONTINUATION, "é€".encode()[3:])
            + frame(BINARY, b"y" * 70_00),
        ],
    ),
    "heads": (
        heads,
        lambda: [
            HEAD + b"Content-Length: 13\r\n\r\n" + b'{"text":"hi"}' + HEAD + b"\r\n",
            HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0\r\nX: y\r\n\r\n",
            HEAD + b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
        ],
    ),
    "messages": (
        messages,
        lambda: [OPEN + b"\n" + CALL, OPEN + b"\n\1\0\0\1" + bytes(16) + b"\n" + b'{"type":"ack","seq":1}'],
    ),
    "openai": (openai, lambda: [b'{"type":"session.update","event_id":"e","session":{"type":"realtime","voice":"a"}}']),
    "multipart": (multipart, lambda: [FORM]),
    "containers": (containers, _samples),
    "urls": (urls, lambda: [b"http://user@127.0.0.1:80/a?b#c", "https://xn--e1afmkfd.example/ä".encode(), b"[::1]"]),
}


def mutated(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """One to eight changes."""
    mutant = bytearray(data)
    for _ in range(dice.randint(1, 8)):
        at = dice.randrange(len(mutant) + 1)
        kind = dice.randrange(5)
        if kind == 0 and mutant:
            mutant[at % len(mutant)] ^= 1 << dice.randrange(8)
        elif kind == 1:
            mutant[at:at] = dice.choice(ODD)
        elif kind == 2:
            del mutant[at : at + dice.choice((1, 2, 16, 500))]
        elif kind == 3:
            mutant[at:at] = mutant[at : at + dice.choice((1, 8, 300))]
        else:
            other = dice.choice(others)
            begin = dice.randrange(len(other))
            mutant[at:at] = other[begin : begin + dice.choice((4, 64, 1_000))]
    return bytes(mutant[:MAX_INPUT_BYTES])


def fuzzed(name: str, seconds: float, seed: int, most: int = sys.maxsize) -> int:
    """How many inputs were tried. Raises FaultError."""
    target, corpus = TARGETS[name]
    dice, valid = random.Random(seed), corpus()
    deadline, tried = time.monotonic() + seconds, 0
    while time.monotonic() < deadline and tried < most:
        data = mutated(dice.choice(valid), valid, dice)
        try:
            target(data, dice)
        except Exception as broken:
            raise FaultError(f"{name}, seed {seed}, input {tried}: {data!r}") from broken
        tried += 1
    return tried


if __name__ == "__main__":
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--only", nargs="+", choices=TARGETS, default=list(TARGETS))
    options.add_argument("--seconds", type=float, default=60, help="for each target")
    options.add_argument("--seed", type=int, default=time.time_ns())
    chosen = options.parse_args()
    for wanted in chosen.only:
        count = fuzzed(wanted, chosen.seconds, chosen.seed)
        sys.stdout.write(f"{wanted:12}{count:>12,} inputs in {chosen.seconds:.0f} s, seed {chosen.seed}: no fault\n")
        sys.stdout.flush()
