"""SynthesizeMany: many utterances in one call, each served like a Synthesize call, with its own credit."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

from protos import tts_pb2
from server.embedded import trunk

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    Synthesize = Callable[
        ["AsyncIterator[tts_pb2.SynthesizeRequest]", trunk.StreamContext],
        "AsyncGenerator[tts_pb2.SynthesizeResponse, None]",
    ]

FIRST_CREDIT_BYTES = 65_536  # audio that may be sent before the caller grants more (tts.proto)
# With more than 50 utterances at once; the first sound of each leaves at once. It is half a frame: a client whose jitter buffer holds
# 60 ms before it plays (static/worklets/playout.js) has 20 ms left for its network, even if speech is made in real time.
SPEECH_TICK_S = 0.02


class CreditedStream(trunk.ServedStream):
    """One utterance's stream, and its remaining credit."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self._credit_bytes = FIRST_CREDIT_BYTES
        self._granted = asyncio.Event()

    def grant(self, n_bytes: int) -> None:
        """The caller allows this much more audio."""
        self._credit_bytes += n_bytes
        self._granted.set()

    async def spend(self, n_bytes: int) -> None:
        """Use this much credit, after waiting until there is some. The last message may exceed it."""
        while n_bytes and self._credit_bytes <= 0:
            self._granted.clear()
            await self._granted.wait()
        self._credit_bytes -= n_bytes


class SynthesizeManyCall(trunk.TrunkCall):
    """One SynthesizeMany call."""

    busy_tick_s = SPEECH_TICK_S

    def __init__(self, synthesize: Synthesize, instance: str = "") -> None:
        super().__init__(tts_pb2, "tts", instance)
        self._synthesize = synthesize

    def new_stream(self, number: int) -> CreditedStream:
        return CreditedStream(number)

    def other(self, stream: trunk.ServedStream, item: tts_pb2.StreamRequest) -> None:
        assert isinstance(stream, CreditedStream), "made by new_stream"
        stream.grant(item.credit_bytes)

    async def run(self, stream: trunk.ServedStream) -> None:
        assert isinstance(stream, CreditedStream), "made by new_stream"
        async with aclosing(self._synthesize(_requests(stream), trunk.StreamContext())) as responses:
            silent = True
            async for response in responses:
                await stream.spend(len(response.audio))
                if silent and response.audio:
                    silent = False
                    self.hurry()
                await self.answer(stream, response)


async def _requests(stream: trunk.ServedStream) -> AsyncIterator[tts_pb2.SynthesizeRequest]:
    while (request := await stream.requests.get()) is not None:
        yield request
