"""The scripted synthesiser: M3 that speaks stamped noise in real time, 1,280 bytes every 40 ms on each stream.

With a number of seconds as argument it is so far ahead of real time, and makes a second of speech at a time, as if it were sentences.
"""

from __future__ import annotations

import asyncio
import os
import struct
import sys
import time
from typing import Any

import grpc.aio
import uvloop

from protos import tts_pb2, tts_pb2_grpc
from server.embedded.trunk import tick_s
from server.embedded.tts.trunk import FIRST_CREDIT_BYTES, SPEECH_TICK_S

FRAME_BYTES, FRAME_S = 1_280, 0.04  # 16 kHz, 16 bit, one channel
SENTENCE_S = 1.0  # made at once when it is ahead of real time
SHORTEST_TICK_S = 0.002
STAMP = struct.Struct("<q")  # nanoseconds of the machine's monotonic clock
_SOUND = os.urandom(FRAME_BYTES - STAMP.size)


def stamped() -> bytes:
    """A frame that is sent now."""
    return STAMP.pack(time.monotonic_ns()) + _SOUND


def started() -> tts_pb2.SynthesizeResponse:
    return tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=16_000, voice="noise"))


class Voice:
    """What one stream has to say. `ahead_s`: how far ahead of real time, 0: not at all."""

    def __init__(self, ahead_s: float) -> None:
        self._piece_s = SENTENCE_S if ahead_s else FRAME_S
        self._due = time.monotonic() - ahead_s
        self._made = 0  # frames that were not sent yet
        self.credit_bytes = FIRST_CREDIT_BYTES
        self.new = True

    def frames(self, now: float) -> int:
        """How many frames to send now."""
        while self._due <= now:
            self._due += self._piece_s
            self._made += round(self._piece_s / FRAME_S)
        frames = min(self._made, max(0, self.credit_bytes) // FRAME_BYTES)
        self._made -= frames
        self.credit_bytes -= frames * FRAME_BYTES
        return frames

    async def next_piece(self) -> None:
        """Wait until there is more."""
        await asyncio.sleep(max(0.0, self._due - time.monotonic()))


class Mouth(tts_pb2_grpc.TextToSpeechServicer):
    """Speaks until its caller has heard enough. A call of its own has no credit to keep to."""

    def __init__(self, ahead_s: float) -> None:
        self._ahead_s = ahead_s

    async def Synthesize(self, requests: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        async for request in requests:
            if request.text:
                break
        await context.write(started())
        voice = Voice(self._ahead_s)
        while True:
            await voice.next_piece()
            voice.credit_bytes = sys.maxsize
            for _ in range(voice.frames(time.monotonic())):
                await context.write(tts_pb2.SynthesizeResponse(audio=stamped()))

    async def SynthesizeMany(self, requests: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        voices: dict[int, Voice] = {}  # by stream
        await context.write(tts_pb2.TrunkResponse())

        async def speak() -> None:
            while True:
                # As the embedded services do
                await asyncio.sleep(max(SHORTEST_TICK_S, tick_s(len(voices), SPEECH_TICK_S)))
                now = time.monotonic()
                items = []
                for number, voice in voices.items():
                    if voice.new:
                        voice.new = False
                        items.append(_item(number, started()))
                    items += [
                        _item(number, tts_pb2.SynthesizeResponse(audio=stamped())) for _ in range(voice.frames(now))
                    ]
                if items:
                    await context.write(tts_pb2.TrunkResponse(items=items))

        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(speak(), name="speak")
            async for request in requests:
                for item in request.items:
                    if item.request.text:
                        voices[item.stream] = Voice(self._ahead_s)
                    elif item.cancel:
                        voices.pop(item.stream, None)
                    elif item.stream in voices:
                        voices[item.stream].credit_bytes += item.credit_bytes
            speaking.cancel()


def _item(number: int, response: tts_pb2.SynthesizeResponse) -> tts_pb2.StreamResponse:
    return tts_pb2.StreamResponse(stream=number, response=response)


async def main() -> None:
    """Serve until standard input ends."""
    server = grpc.aio.server()
    tts_pb2_grpc.add_TextToSpeechServicer_to_server(Mouth(float(sys.argv[1]) if sys.argv[1:] else 0.0), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(main())
