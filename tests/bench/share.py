"""The gateway's own share of the latency with several talkers: frame in → gRPC out, gRPC in → frame out.

Recogniser and synthesiser are servers in this process that only stamp and compare times; the gateway is a process of its own.
Each talker sends a frame every 20 ms and hears a frame every 40 ms. Times include both loopback hops.
"""

from __future__ import annotations

import argparse
import asyncio
import struct
import tempfile
import time
from pathlib import Path
from typing import Any

import grpc.aio

from protos import stt_pb2, stt_pb2_grpc, tts_pb2, tts_pb2_grpc
from streaming.protocol import events
from streaming.protocol.messages import SttParams, TtsParams
from tests.bench.machine import head, row, say
from tests.support.gateway import GatewayProcess, client, running_gateway

UP_BYTES, UP_S = 640, 0.02
DOWN_BYTES, DOWN_S = 1280, 0.04  # one frame of 40 ms at 16 kHz
STAMP = struct.Struct("<q")


def stamped(size: int) -> bytes:
    """Audio whose first bytes are the time."""
    return STAMP.pack(time.monotonic_ns()).ljust(size, b"\0")


def age_ms(frame: bytes) -> float:
    """How old a stamped frame is."""
    return (time.monotonic_ns() - STAMP.unpack_from(frame)[0]) / 1e6


class Ear(stt_pb2_grpc.SpeechToTextServicer):
    """Notes how old each frame is when it arrives; frames may come several in a message."""

    def __init__(self) -> None:
        self.ages_ms: list[float] = []

    async def Recognize(self, requests: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        async for request in requests:
            audio = request.audio
            self.ages_ms += [age_ms(audio[start:]) for start in range(0, len(audio), UP_BYTES)]
        yield stt_pb2.RecognizeResponse(final=stt_pb2.Final())


class Mouth(tts_pb2_grpc.TextToSpeechServicer):
    """Speaks stamped frames in real time."""

    def __init__(self, seconds: float) -> None:
        self._frames = int(seconds / DOWN_S)

    async def Synthesize(self, requests: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        async for _ in requests:
            pass
        yield tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=16_000))
        began = time.monotonic()
        for index in range(self._frames):
            await asyncio.sleep(max(0.0, began + index * DOWN_S - time.monotonic()))
            yield tts_pb2.SynthesizeResponse(audio=stamped(DOWN_BYTES))
        yield tts_pb2.SynthesizeResponse(done=tts_pb2.Done())


async def talker(gateway: GatewayProcess, seconds: float, down_ms: list[float]) -> None:
    """One user: microphone up and speech down at once."""
    async with client(gateway) as session:
        microphone, voice = session.open(SttParams()), session.open(TtsParams(text="speak"))

        async def speak() -> None:
            began = time.monotonic()
            for index in range(int(seconds / UP_S)):
                await asyncio.sleep(max(0.0, began + index * UP_S - time.monotonic()))
                microphone.send_audio(stamped(UP_BYTES))
            microphone.end()

        async def hear() -> None:
            async for event in voice:
                if isinstance(event, events.AudioReceived) and event.payload:
                    down_ms.append(age_ms(event.payload))
                    voice.played(event.payload, event.pts_ms + 40)

        async with asyncio.TaskGroup() as group:
            group.create_task(speak(), name="speak")
            group.create_task(hear(), name="hear")


async def main(talkers: int, seconds: float) -> None:
    """Measure."""
    head(f"the gateway's own share, {talkers} talkers for {seconds:.0f} s")
    ear, down_ms = Ear(), []
    server = grpc.aio.server()
    stt_pb2_grpc.add_SpeechToTextServicer_to_server(ear, server)
    tts_pb2_grpc.add_TextToSpeechServicer_to_server(Mouth(seconds), server)
    address = f"127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    urls = {"VOICE_STT_GRPC_URL": address, "VOICE_TTS_GRPC_URL": address}
    loop = asyncio.get_running_loop()
    with tempfile.TemporaryDirectory() as directory:
        running = running_gateway(Path(directory), EMBEDDED="false", REDIS_URL="", **urls)
        gateway = await loop.run_in_executor(None, running.__enter__)
        await asyncio.gather(*(talker(gateway, seconds, down_ms) for _ in range(talkers)))
        await loop.run_in_executor(None, running.__exit__, None, None, None)
    await server.stop(0)
    say(row("frame in → gRPC out", ear.ages_ms, "ms"))
    say(row("gRPC in → frame out", down_ms, "ms"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--talkers", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    asyncio.run(main(options.talkers, options.seconds))
