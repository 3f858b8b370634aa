"""The common part of the peers: a gRPC stream per microphone and a message per frame, the obvious way."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

import grpc.aio

from protos import stt_pb2, stt_pb2_grpc, tts_pb2, tts_pb2_grpc

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

HEADER_BYTES = 16  # of our frames: the peers do not look at it


def connect() -> stt_pb2_grpc.SpeechToTextAsyncStub:
    """To be called on the loop."""
    channel = grpc.aio.insecure_channel(os.environ["VOICE_STT_GRPC_URL"])
    return stt_pb2_grpc.SpeechToTextStub(channel)  # type: ignore[return-value]


def connect_voice() -> tts_pb2_grpc.TextToSpeechAsyncStub:
    """The same for the synthesiser."""
    channel = grpc.aio.insecure_channel(os.environ["VOICE_TTS_GRPC_URL"])
    return tts_pb2_grpc.TextToSpeechStub(channel)  # type: ignore[return-value]


async def speech(stub: tts_pb2_grpc.TextToSpeechAsyncStub, asked: str) -> AsyncIterator[bytes]:
    """What is said of a client's message, as it comes."""

    async def requests() -> AsyncIterator[tts_pb2.SynthesizeRequest]:
        yield tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(language="en-US"))
        yield tts_pb2.SynthesizeRequest(text=json.loads(asked)["text"])

    call: Any = stub.Synthesize(requests())
    async for response in call:
        if response.audio:
            yield response.audio


class Relay:
    """One microphone's stream."""

    def __init__(self, stub: stt_pb2_grpc.SpeechToTextAsyncStub) -> None:
        self._call: Any = stub.Recognize()

    async def begin(self) -> None:
        config = stt_pb2.RecognizeConfig(language="en-US", sample_rate_hz=16_000)
        await self._call.write(stt_pb2.RecognizeRequest(config=config))

    async def frame(self, data: bytes) -> None:
        await self._call.write(stt_pb2.RecognizeRequest(audio=data[HEADER_BYTES:]))

    async def end(self) -> None:
        await self._call.done_writing()

    async def results(self) -> AsyncIterator[str]:
        """JSON."""
        async for response in self._call:
            yield json.dumps({"type": response.WhichOneof("event"), "text": response.final.text})
