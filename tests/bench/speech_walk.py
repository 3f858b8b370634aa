"""The walk of 40 ms of speech within one process, by stage: from a trunk's message to the bytes for the socket, and a client's reports.

Real trunk streams, sessions, lanes and sockets, without kernel, gRPC and clients. CPU is that of this thread in the best round. In a
whole gateway it costs more, because its caches are cold. On a busy machine it costs up to two and a half times as much: compare two
states of the code by turns, not this figure with another.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import time
from functools import partial
from typing import TYPE_CHECKING, Any

import uvloop

from handlers.writer import SocketWriter
from protos import tts_pb2
from server.net.loop_turns import LoopTurns
from server.net.tick import TickEnd
from server.net.websocket.limits import SocketLimits
from server.net.websocket.socket import FrameSocket
from server.upstream.speech_trunk import SpeechStream
from server.upstream.tts_stream import TtsStream
from streaming.protocol.limits import Limits
from tests.bench.listeners.synthesiser import FRAME_BYTES, stamped, started
from tests.bench.machine import head, say
from tests.server.net.websocket import client_frames
from tests.support.house import House
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Iterable

    from server.upstream.trunk_stream import TrunkStream

FRAMES_A_REPORT = 25  # a client reports once a second
TICK_END = TickEnd()


class _Attempt:
    """A call that nobody measures."""

    def answered(self) -> None:
        """Not of interest here."""

    def abandoned(self) -> None:
        """Not of interest here."""


class _Carrier:
    """A trunk without a call."""

    service = "tts"

    def __init__(self) -> None:
        self.heard_at = 0.0
        self.streams: dict[int, TrunkStream[Any]] = {}
        self.grants = 0

    def enlist(self, stream: TrunkStream[Any]) -> None:
        """Sent to nobody."""
        stream.gather([])

    def hurry(self) -> None:
        """Nothing waits."""

    def later(self, stream: TrunkStream[Any]) -> None:
        """Counted, but sent to nobody."""
        self.grants += 1
        stream.gather([])

    def forget(self, stream: TrunkStream[Any]) -> None:
        self.streams.pop(stream.number, None)

    def cancel(self, stream: TrunkStream[Any]) -> None:
        """Nobody to tell."""

    def suspect(self, _broken: Any) -> bool:
        return False

    def deliver(self, message: bytes) -> None:
        """As a trunk does."""
        self.heard_at = asyncio.get_running_loop().time()
        for item in tts_pb2.TrunkResponse.FromString(message).items:
            stream = self.streams.get(item.stream)
            if stream is not None:
                stream.take(item)


class _World(World):
    """Scripted services, and speech from a trunk."""

    def __init__(self, carrier: _Carrier) -> None:
        super().__init__()
        self._carrier = carrier

    def synthesize(self, _config: Any, _context: Any) -> Any:
        def open_stream(source: Any) -> SpeechStream:
            attempt: Any = _Attempt()
            number = len(self._carrier.streams) + 1
            stream = SpeechStream(source, self._carrier, number, b"", attempt, 10.0)
            self._carrier.streams[number] = stream
            return stream

        return TtsStream(partial(open_stream))


class _Transport:
    """Drops what is written."""

    def __init__(self) -> None:
        self.written = 0

    def is_closing(self) -> bool:
        return False

    def pause_reading(self) -> None:
        """Nothing else comes."""

    def resume_reading(self) -> None:
        """Likewise."""

    def writelines(self, frames: Iterable[bytes]) -> None:
        self.written += sum(len(frame) > FRAME_BYTES for frame in frames)

    def write(self, frame: bytes) -> None:
        self.written += len(frame) > FRAME_BYTES

    def get_write_buffer_size(self) -> int:
        return 0


class Listener:
    """One session's socket, as a handler of ours has it. Implements `streaming.jarvis.socket.Socket`."""

    traceparent = ""

    def __init__(self, house: House, line: Any) -> None:
        handler: Any = self
        self.line = line
        self.on_messages = line.feed
        self.ws_connection = FrameSocket(handler, SocketLimits(1 << 20, 1 << 20, frames_burst=10**9), LoopTurns())
        self.transport: Any = _Transport()
        socket: Any = self.ws_connection
        socket.transport = self.transport
        self._writer = SocketWriter(handler, house.group, TICK_END)
        self.wake, self.sink = self._writer.wake, self._writer
        line._socket = line.live.socket = self
        line.live._sink = self.sink
        self._writer.begin(line)

    def report(self, frames: int) -> bytes:
        """What a client says once a second, as it comes from its socket."""
        said = [
            {"type": "credit", "channel": 1, "bytes": FRAMES_A_REPORT * FRAME_BYTES},
            {"type": "playback", "channel": 1, "played_ms": frames * 40},
            {"type": "ack", "seq": self.line.live.connection.last_seq},
        ]
        frame = partial(client_frames.frame, client_frames.TEXT)
        return b"".join(frame(json.dumps(each, separators=(",", ":")).encode()) for each in said)


async def listeners(house: House, carrier: _Carrier, count: int) -> list[Listener]:
    """So many, each spoken to."""
    found = []
    for number in range(count):
        client = await house.enter(f"s{number}")
        client.say(type="channel.open", channel=1, kind="tts", params={"text": "speak"})
        client.say(type="credit", channel=1, bytes=4 * FRAMES_A_REPORT * FRAME_BYTES)
        await client.until("channel.opened", channel=1)
        assert client.line is not None
        found.append(Listener(house, client.line))
        carrier.streams[number + 1].take(tts_pb2.StreamResponse(stream=number + 1, response=started()))
    await asyncio.sleep(0.1)
    return found


def message(streams: Iterable[int]) -> bytes:
    """A trunk's message with a frame for each stream."""
    items = [
        tts_pb2.StreamResponse(stream=number, response=tts_pb2.SynthesizeResponse(audio=stamped()))
        for number in streams
    ]
    return tts_pb2.TrunkResponse(items=items).SerializeToString()


async def walk(carrier: _Carrier, found: list[Listener], rounds: int) -> list[float]:
    """The best CPU in µs: of a frame into its session, of a frame to its socket, of a client's reports."""
    best = [float("inf")] * 3
    for number in range(1, rounds + 1):
        data = message(range(1, len(found) + 1))
        began = time.thread_time()
        carrier.deliver(data)
        spoken = time.thread_time()
        await asyncio.sleep(0)  # the writers' turn
        written = time.thread_time()
        best = [min(best[0], spoken - began), min(best[1], written - spoken), best[2]]
        if number % FRAMES_A_REPORT == 0:
            reports = [listener.report(number) for listener in found]
            began = time.thread_time()
            for listener, report in zip(found, reports, strict=True):
                listener.ws_connection.data_received(report)
            best[2] = min(best[2], time.thread_time() - began)
            await asyncio.sleep(0)
    assert all(listener.transport.written == rounds for listener in found), "some frames took another way"
    return [each / len(found) * 1e6 for each in best]


async def measure(options: argparse.Namespace) -> None:
    carrier = _Carrier()
    async with asyncio.TaskGroup() as group:
        house = House(_World(carrier), group, Limits())
        found = await listeners(house, carrier, options.listeners)
        session_us, socket_us, report_us = await walk(carrier, found, options.rounds)
        say(f"message to session {session_us:.2f} µs, session to socket {socket_us:.2f} µs a frame")
        say(f"a client's reports {report_us:.2f} µs, once a second; {carrier.grants} grants of credit to the service")
        await house.sessions.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--listeners", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=200)
    given = parser.parse_args()
    head(f"the walk of 40 ms of speech, {given.listeners} listeners, the best of {given.rounds} rounds")
    uvloop.run(measure(given))
