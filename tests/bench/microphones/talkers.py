"""The load generator: many sockets, each with a frame of 20 ms every 20 ms, spread evenly.

Sockets are written to without any library of those that are measured. Frames are stamped when they are written, so that what the
generator itself is late with counts as `slip_ms` and not as the target's latency. To the gateway it is a well-behaved client:
it keeps to its credit, and acknowledges once a second what came. Reads its `Load` as JSON from standard input, and says on
standard output, a line of JSON each: `open`, `begin` and `end` of the measured time, `done`.
"""

from __future__ import annotations

import asyncio
import json
import os
import struct
import sys
import time
from base64 import b64encode
from collections import deque
from dataclasses import asdict, dataclass, field
from typing import Any
from urllib.parse import urlsplit

import uvloop

from server.net.websocket.mask import unmask
from tests.bench.microphones.audio import FRAME_BYTES, FRAME_S, dialect_marked, mark, marked

OPEN_AT_ONCE = 50
TICK_S = 0.001
OPEN_TIMEOUT_S = 60.0
END_TIMEOUT_S = 30.0
ACK_S = 1.0
SETTLE_S = 0.5
_HEADER = struct.Struct(">BBHIII")
CHANNEL = 1
_BEGIN = 8  # of a frame's payload, behind length and mask


@dataclass(frozen=True, slots=True)
class Load:
    """`tokens` has one for each talker of the gateway; peers take everybody."""

    ws: str
    talkers: int
    seconds: float
    warm_s: float
    tokens: list[str] = field(default_factory=list)
    dialect: bool = False  # of OpenAI instead of the gateway's own


class Talker(asyncio.Protocol):
    """One socket. `speaks_jarvis`: the gateway's protocol, else bare frames. `path`: where a peer takes it."""

    path = "ws"

    def __init__(self, number: int, host: str, token: str | None) -> None:
        self.number = number
        self.speaks_jarvis = token is not None
        self.sent = self.held = 0
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.events: dict[str, int] = {}
        self._credit_bytes = 0 if self.speaks_jarvis else sys.maxsize
        self._waiting: deque[bytes] = deque()
        self._buffer = b""
        self._upgraded = self._ended = self._said_end = False
        self._seen = self._acknowledged = 0
        self._mask = os.urandom(4)
        size = _HEADER.size + FRAME_BYTES
        self._prepared = bytearray(struct.pack("!BBH", 130, 254, size) + self._mask)
        self._prepared += unmask(self._mask, bytes(_HEADER.size) + marked(number, 0))
        bearer = f"Authorization: Bearer {token}\r\nSec-WebSocket-Protocol: jarvis.v1\r\n" if token else ""
        self._hello = (
            f"GET /{'ws' if token else self.path}/talker-{number} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{bearer}\r\n"
        )

    # --- in ---

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self._descriptor = transport.get_extra_info("socket").fileno()
        transport.write(self._hello.encode())

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._upgraded:
            head, end, rest = self._buffer.partition(b"\r\n\r\n")
            if not end:
                return
            assert head.startswith(b"HTTP/1.1 101"), head
            self._upgraded, self._buffer = True, rest
            if not self.speaks_jarvis:
                self.opened.set_result(None)
        self._read_frames()

    def _read_frames(self) -> None:
        """A server's frames are not masked, and none here is longer than 64 KiB."""
        data, at = self._buffer, 0
        while len(data) - at >= 2:
            opcode, length, start = data[at] & 15, data[at + 1], at + 2
            if length == 126:
                length, start = int.from_bytes(data[start : start + 2], "big"), start + 2
            if start + length > len(data):
                break
            self._frame(opcode, data[start : start + length])
            at = start + length
        self._buffer = data[at:]

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 1 and self.speaks_jarvis:
            self._event(json.loads(payload))
        elif opcode == 9:
            self._write(10, payload)
        elif opcode == 8:
            self._write(8, payload[:2])

    def _event(self, event: dict[str, Any]) -> None:
        kind = event["type"]
        self.events[kind] = self.events.get(kind, 0) + 1
        if kind != "ack":
            self._seen = max(self._seen, event.get("seq", 0))
        if kind == "session.ready":
            params = {"sample_rate": 16_000, "encoding": "pcm_s16le"}
            self._say({"type": "channel.open", "id": "c", "channel": CHANNEL, "kind": "stt", "params": params})
        elif kind == "channel.opened":
            self._credit_bytes += event["credit"]
            self.opened.set_result(None)
        elif kind == "credit":
            self._credit_bytes += event["bytes"]
            while self._waiting and self._credit_bytes >= FRAME_BYTES:
                self._send(self._waiting.popleft())
            if self._ended and not self._said_end and not self._waiting:
                self._say_end()
        elif kind == "ping":
            self._say({"type": "pong", "t": event["t"]})
        elif kind == "channel.closed" and self._ended:
            self._write(8, b"\x03\xe8")
        elif kind in {"error", "channel.closed"}:
            raise AssertionError(event)

    def connection_lost(self, error: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if not self.opened.done():
            self.opened.set_exception(error or ConnectionError("the target closed"))

    # --- out ---

    def speak(self) -> None:
        """The next frame is due. After the target has closed, frames are lost."""
        if self.closed.done():
            self.sent += 1
        elif self._credit_bytes < FRAME_BYTES or self._waiting:
            self.held += 1
            self._waiting.append(marked(self.number, self.sent + len(self._waiting)))
        elif self._transport.get_write_buffer_size():
            self._send(marked(self.number, self.sent))
        else:
            self._send_prepared()

    def _send_prepared(self) -> None:
        """The same bytes as `_send`, of which only the first 32 change, written at once: a thousand talkers share a core."""
        plain = _HEADER.pack(1, 0, CHANNEL, 0, self.sent, self.sent * 20) + mark(self.number, self.sent)
        data = self._prepared
        data[_BEGIN : _BEGIN + len(plain)] = unmask(self._mask, plain)
        self._credit_bytes -= FRAME_BYTES
        self.sent += 1
        try:
            written = os.write(self._descriptor, data)
        except BlockingIOError:
            written = 0
        except ConnectionError:  # the target has closed
            return
        if written < len(data):
            self._transport.write(bytes(data[written:]))

    def _send(self, frame: bytes) -> None:
        header = _HEADER.pack(1, 0, CHANNEL, 0, self.sent, self.sent * 20)
        self._credit_bytes -= FRAME_BYTES
        self.sent += 1
        self._write(2, header + frame)

    def acknowledge(self) -> None:
        if self._seen > self._acknowledged:
            self._acknowledged = self._seen
            self._say({"type": "ack", "seq": self._seen})

    def end(self) -> None:
        """No frame comes after the end: frames that wait for credit go first."""
        self._ended = True
        if not self._waiting:
            self._say_end()

    def _say_end(self) -> None:
        self._said_end = True
        self._say({"type": "channel.end", "channel": CHANNEL} if self.speaks_jarvis else {"type": "end"})

    def _say(self, message: dict[str, Any]) -> None:
        self._write(1, json.dumps(message).encode())

    def _write(self, opcode: int, payload: bytes) -> None:
        size = len(payload)
        head = bytes((128 | opcode, 128 | size)) if size < 126 else struct.pack("!BBH", 128 | opcode, 254, size)
        if not self._transport.is_closing():
            self._transport.write(head + self._mask + unmask(self._mask, payload))


class DialectTalker(Talker):
    """Speaks OpenAI's dialect, 24 kHz in base64 as JSON, as OpenAI's client writes it."""

    def __init__(self, number: int, host: str, token: str | None) -> None:
        super().__init__(number, host, None)
        bearer = f"Authorization: Bearer {token}\r\n"
        self._hello = (
            f"GET /v1/realtime HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n{bearer}\r\n"
        )

    def _frame(self, opcode: int, payload: bytes) -> None:
        if opcode == 1:
            event: dict[str, Any] = json.loads(payload)
            self.events[event["type"]] = self.events.get(event["type"], 0) + 1
            if event["type"] == "error":
                raise AssertionError(event)
        super()._frame(opcode, payload)

    def speak(self) -> None:
        """The next frame is due."""
        audio = b64encode(dialect_marked(self.number, self.sent)).decode()
        self.sent += 1
        self._say({"type": "input_audio_buffer.append", "audio": audio})

    def _say_end(self) -> None:
        """Commit, because the gateway may hold the newest frame, and close normally once all has arrived: the dialect has no end of audio."""
        self._said_end = True
        self._say({"type": "input_audio_buffer.commit"})
        asyncio.get_running_loop().call_later(SETTLE_S, self._write, 8, b"\x03\xe8")


def tell(what: str, **values: Any) -> None:
    sys.stdout.write(json.dumps({"at": what, **values}) + "\n")
    sys.stdout.flush()


class Schedule:
    """When each frame is due: talkers take turns within the 20 ms."""

    def __init__(self, talkers: list[Talker]) -> None:
        self._talkers = talkers
        self._step_s = FRAME_S / len(talkers)
        self._began = asyncio.get_running_loop().time()
        self._done = 0
        self.slips_ms: list[float] = []

    async def run(self, seconds: float) -> int:
        """Speak for so long; how many frames that were."""
        loop, talkers = asyncio.get_running_loop(), self._talkers
        before, until = self._done, loop.time() + seconds
        while (now := loop.time()) < until:
            due = int((now - self._began) / self._step_s)
            if due > self._done:
                self.slips_ms.append((now - self._began - (self._done + 1) * self._step_s) * 1000)
            while self._done < due:
                talkers[self._done % len(talkers)].speak()
                self._done += 1
            await asyncio.sleep(TICK_S)
        return self._done - before


async def connect(load: Load, kind: type[Talker] = Talker) -> list[Talker]:
    address = urlsplit(load.ws)
    loop, gate = asyncio.get_running_loop(), asyncio.Semaphore(OPEN_AT_ONCE)

    async def one(number: int) -> Talker:
        token = load.tokens[number] if load.tokens else None
        async with gate:
            _, talker = await loop.create_connection(
                lambda: kind(number, address.netloc, token), address.hostname, address.port
            )
            await talker.opened
        return talker

    return list(await asyncio.wait_for(asyncio.gather(*map(one, range(load.talkers))), OPEN_TIMEOUT_S))


async def acknowledge(talkers: list[Talker]) -> None:
    """Each once a second, and not all at the same time."""
    at = 0
    while True:
        await asyncio.sleep(ACK_S / 20)
        for talker in talkers[at::20]:
            talker.acknowledge()
        at = (at + 1) % 20


async def speak(talkers: list[Talker], load: Load) -> None:
    schedule = Schedule(talkers)
    await schedule.run(load.warm_s)
    schedule.slips_ms.clear()
    tell("begin")
    began = time.monotonic()
    frames = await schedule.run(load.seconds)
    slips_ms = sorted(schedule.slips_ms)
    tell("end", frames=frames, seconds=time.monotonic() - began, slip_p99_ms=slips_ms[int(0.99 * len(slips_ms))])


async def main(load: Load) -> None:
    talkers = await connect(load, DialectTalker if load.dialect else Talker)
    tell("open")
    async with asyncio.TaskGroup() as tasks:
        acknowledging = tasks.create_task(acknowledge(talkers), name="acknowledgements")
        await speak(talkers, load)
        acknowledging.cancel()
    for talker in talkers:
        talker.end()
    await asyncio.wait([talker.closed for talker in talkers], timeout=END_TIMEOUT_S)
    left = sum(not talker.closed.done() for talker in talkers)
    sent, held = sum(talker.sent for talker in talkers), sum(talker.held for talker in talkers)
    tell("done", sent=sent, held=held, not_closed=left, events=_sum(talkers))


def _sum(talkers: list[Talker]) -> dict[str, int]:
    total: dict[str, int] = {}
    for talker in talkers:
        for kind, number in talker.events.items():
            total[kind] = total.get(kind, 0) + number
    return total


def as_json(load: Load) -> str:
    return json.dumps(asdict(load))


if __name__ == "__main__":
    uvloop.run(main(Load(**json.loads(sys.stdin.readline()))))
