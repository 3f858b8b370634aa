"""The counting recogniser: an M2 that only counts frames. Answers `restart` and `report` on standard input."""

from __future__ import annotations

import asyncio
import itertools
import json
import sys
from typing import Any

import grpc.aio
import uvloop

from protos import stt_pb2, stt_pb2_grpc
from tests.bench.microphones.audio import Tally

REPORT_BYTES = 16 * 1024  # what was taken of a stream in a trunk is told so often: see stt.proto


class Ear(stt_pb2_grpc.SpeechToTextServicer):
    """Takes frames, and says nothing until the end."""

    def __init__(self, *, resampled: bool) -> None:
        self.tally = Tally(resampled=resampled)
        self._calls = itertools.count(-1, -1)  # numbers of streams that are calls of their own; a trunk's are positive

    async def Recognize(self, requests: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        tally, stream = self.tally, next(self._calls)
        async for request in requests:
            if request.audio:
                tally.messages += 1
                tally.take(request.audio, stream)
        yield stt_pb2.RecognizeResponse(final=stt_pb2.Final())

    async def RecognizeMany(self, requests: Any, context: Any) -> None:  # noqa: N802 - gRPC's name
        tally = self.tally
        taken: dict[int, int] = {}
        await context.write(stt_pb2.TrunkResponse())
        async for request in requests:
            tally.messages += 1
            out = []
            for item in request.items:
                audio = item.request.audio
                if audio:
                    tally.take(audio, item.stream)
                    taken[item.stream] = taken.get(item.stream, 0) + len(audio)
                    if taken[item.stream] >= REPORT_BYTES:
                        out.append(stt_pb2.StreamResponse(stream=item.stream, taken_bytes=taken.pop(item.stream)))
                elif item.end:
                    final = stt_pb2.RecognizeResponse(final=stt_pb2.Final())
                    out.append(stt_pb2.StreamResponse(stream=item.stream, response=final))
                    out.append(stt_pb2.StreamResponse(stream=item.stream, end=stt_pb2.StreamEnd()))
            if out:
                await context.write(stt_pb2.TrunkResponse(items=out))


def obey(command: str, tally: Tally) -> None:
    """One line of standard input; one line of answer."""
    if command == "restart":
        tally.restart()
    answer = {"frames": tally.frames, "gaps": tally.gaps, "messages": tally.messages}
    sys.stdout.write(json.dumps(answer | {"ages_ms": tally.ages_ms(0.5, 0.99, 1)}) + "\n")
    sys.stdout.flush()


async def main(*, resampled: bool) -> None:
    """Serve until standard input ends."""
    ear, ended = Ear(resampled=resampled), asyncio.Event()
    server = grpc.aio.server()
    stt_pb2_grpc.add_SpeechToTextServicer_to_server(ear, server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    sys.stdout.write(f"{port}\n")
    sys.stdout.flush()

    def on_line() -> None:
        line = sys.stdin.readline()
        if line:
            obey(line.strip(), ear.tally)
        else:
            ended.set()

    asyncio.get_running_loop().add_reader(sys.stdin, on_line)
    await ended.wait()
    await server.stop(0)


if __name__ == "__main__":
    uvloop.run(main(resampled="--resampled" in sys.argv))
