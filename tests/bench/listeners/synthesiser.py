"""The scripted synthesiser: M3 that speaks stamped noise in real time, 1,280 bytes every 40 ms on each stream."""

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
from server.embedded.tts.trunk import SPEECH_TICK_S

FRAME_BYTES, FRAME_S = 1_280, 0.04  # 16 kHz, 16 bit, one channel
SHORTEST_TICK_S = 0.002
STAMP = struct.Struct("<q")  # nanoseconds of the machine's monotonic clock
_SOUND = os.urandom(FRAME_BYTES - STAMP.size)


def stamped() -> bytes:
    """A frame that is sent now."""
    return STAMP.pack(time.monotonic_ns()) + _SOUND


def started() -> tts_pb2.SynthesizeResponse:
    return tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=16_000, voice="noise"))


class Mouth(tts_pb2_grpc.TextToSpeechServicer):
    """Speaks until its caller has heard enough."""

    async def Synthesize(self, requests: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        async for request in requests:
            if request.text:
                break
        await context.write(started())
        due = time.monotonic()
        while True:
            due += FRAME_S
            await asyncio.sleep(max(0.0, due - time.monotonic()))
            await context.write(tts_pb2.SynthesizeResponse(audio=stamped()))

    async def SynthesizeMany(self, requests: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        due: dict[int, float] = {}  # by stream: when its next frame is
        new: list[int] = []
        await context.write(tts_pb2.TrunkResponse())

        async def speak() -> None:
            while True:
                await asyncio.sleep(
                    max(SHORTEST_TICK_S, tick_s(len(due), SPEECH_TICK_S))
                )  # as the embedded services do
                now = time.monotonic()
                items = [_item(number, started()) for number in new]
                new.clear()
                for number, at in due.items():
                    if at <= now:
                        due[number] = at + FRAME_S
                        items.append(_item(number, tts_pb2.SynthesizeResponse(audio=stamped())))
                if items:
                    await context.write(tts_pb2.TrunkResponse(items=items))

        async with asyncio.TaskGroup() as group:
            speaking = group.create_task(speak(), name="speak")
            async for request in requests:
                for item in request.items:
                    if item.request.text:
                        due[item.stream] = time.monotonic()
                        new.append(item.stream)
                    elif item.cancel:
                        due.pop(item.stream, None)
            speaking.cancel()


def _item(number: int, response: tts_pb2.SynthesizeResponse) -> tts_pb2.StreamResponse:
    return tts_pb2.StreamResponse(stream=number, response=response)


async def main() -> None:
    """Serve until standard input ends."""
    server = grpc.aio.server()
    tts_pb2_grpc.add_TextToSpeechServicer_to_server(Mouth(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(main())
