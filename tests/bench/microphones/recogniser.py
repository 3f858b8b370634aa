"""The counting recogniser: M2 that hears nothing. Answers `restart` and `report` on standard input."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import grpc.aio
import uvloop

from protos import stt_pb2, stt_pb2_grpc
from tests.bench.microphones.audio import Tally


class Ear(stt_pb2_grpc.SpeechToTextServicer):
    """Takes frames, and says nothing until the end."""

    def __init__(self) -> None:
        self.tally = Tally()

    async def Recognize(self, requests: Any, _context: Any) -> Any:  # noqa: N802 - gRPC's name
        tally = self.tally
        async for request in requests:
            if request.audio:
                tally.messages += 1
                tally.take(request.audio)
        yield stt_pb2.RecognizeResponse(final=stt_pb2.Final())


def obey(command: str, tally: Tally) -> None:
    """One line of standard input; one line of answer."""
    if command == "restart":
        tally.restart()
    answer = {"frames": tally.frames, "gaps": tally.gaps, "messages": tally.messages}
    sys.stdout.write(json.dumps(answer | {"ages_ms": tally.ages_ms(0.5, 0.99, 1)}) + "\n")
    sys.stdout.flush()


async def main() -> None:
    """Serve until standard input ends."""
    ear, ended = Ear(), asyncio.Event()
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
    uvloop.run(main())
