"""Spoken turns in real time against a gateway with the embedded services: how long users wait.

`first partial` counts from the start of speech in the recording (as the recogniser finds it), `first_audio` from its end.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
import time
from pathlib import Path

from streaming.protocol import events, messages
from streaming.protocol.messages import TurnParams
from tests.bench.machine import head, row, say
from tests.support.gateway import FRAME_BYTES, GatewayProcess, client, running_gateway, speech

RECORDING = "flite-slt-what-time-is-it"
FRAME_S = 0.02


async def turn(gateway: GatewayProcess, partials_ms: list[float], audio_ms: list[float]) -> None:
    """One question, spoken in real time."""
    pcm = speech(RECORDING)
    loop = asyncio.get_running_loop()
    async with client(gateway) as session:
        channel = session.open(TurnParams())
        began = loop.time()

        async def speak() -> None:
            for index, start in enumerate(range(0, len(pcm), FRAME_BYTES)):
                await asyncio.sleep(max(0.0, began + index * FRAME_S - loop.time()))
                channel.send_audio(pcm[start : start + FRAME_BYTES])
            channel.end()

        async with asyncio.TaskGroup() as group:
            group.create_task(speak(), name="speak")
            started_ms: int | None = None
            first = True
            async for event in channel:
                if isinstance(event, events.AudioReceived):
                    channel.played(event.payload, event.pts_ms + 40)
                elif isinstance(event, messages.SttSpeechStarted):
                    started_ms = event.at_ms
                elif isinstance(event, messages.SttPartial) and first and started_ms is not None:
                    first = False
                    partials_ms.append((loop.time() - began) * 1000 - started_ms)
                elif isinstance(event, messages.TurnLatency):
                    audio_ms.append(event.stages["first_audio"])


async def main(turns: int) -> None:
    """Measure."""
    head(f"{turns} spoken turns, “what time is it”, one after the other")
    partials_ms: list[float] = []
    audio_ms: list[float] = []
    with tempfile.TemporaryDirectory() as directory:
        began = time.monotonic()
        with running_gateway(Path(directory)) as gateway:
            say(f"{'start to listening, all nine services up':44} {time.monotonic() - began:.2f} s")
            for _ in range(turns):
                await turn(gateway, partials_ms, audio_ms)
    say(row("first partial after speech starts", partials_ms, "ms"))
    say(row("reply audio after speech ends (first_audio)", audio_ms, "ms"))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--turns", type=int, default=10)
    asyncio.run(main(parser.parse_args().turns))
