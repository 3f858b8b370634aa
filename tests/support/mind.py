"""A scripted language model behind the planner, and a turn with it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from streaming.agent.format import ReplyFormat
from streaming.domain import (
    TurnDone,
    TurnReply,
)
from streaming.lanes.turn import TurnLane
from streaming.ports import (
    ActionInfo,
    Plan,
    Prompt,
    ReplyWords,
    ServiceError,
    Step,
    SynthesisAudio,
    SynthesisDone,
    SynthesisStarted,
    SynthesisWords,
    Word,
)
from tests.support.outlet import RecordingOutlet, frame_for
from tests.support.world import RATE_HZ, WORD_MS, World

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence

    from streaming.ports import CallContext, SynthesisConfig

Said = ReplyWords | Step | asyncio.Event | float | ServiceError
"""A number: seconds until what follows."""


class StreamingSynthesis:
    """Speaks words as they come."""

    def __init__(self) -> None:
        self.texts: list[str] = []
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()

    def send_text(self, text: str) -> None:
        self.texts.append(text)
        self._pieces.put_nowait(text)

    def end(self) -> None:
        self._pieces.put_nowait(None)

    def cancel(self) -> None:
        self._pieces.put_nowait(None)

    def hand_audio_to(self, ear: Callable[[bytes], bool]) -> None:
        """All of it comes from the iterator."""

    async def __aiter__(self) -> AsyncIterator[Any]:
        yield SynthesisStarted(RATE_HZ, "test")
        at_ms = 0
        while (piece := await self._pieces.get()) is not None:
            for word in piece.split():
                yield SynthesisWords((Word(word, at_ms, at_ms + WORD_MS),))
                yield SynthesisAudio(b"\1\0" * (RATE_HZ * WORD_MS // 1000))
                at_ms += WORD_MS
        yield SynthesisDone(at_ms)


@dataclass
class Mind(World):
    rounds: list[list[Said]] = field(default_factory=list)
    told: list[Prompt] = field(default_factory=list)
    spoken: list[StreamingSynthesis] = field(default_factory=list)
    hung_up: int = 0
    templates: Plan | None = None  # what is planned for an intent without words

    async def plan(
        self, text: str, intent: Any, conversation: Sequence[Any], context: CallContext, *, prefer_model: bool = False
    ) -> Plan:
        self.conversations.append([turn.text for turn in conversation])
        return (None if text else self.templates) or Plan("p", "Answer", (), "unknown", open_ended=True)

    def synthesize(self, config: SynthesisConfig, context: CallContext) -> Any:
        self.spoken.append(StreamingSynthesis())
        return self.spoken[-1]

    async def actions(self, context: CallContext) -> Sequence[ActionInfo]:
        return [ActionInfo("mkdir", "Make a folder", {"type": "object"})]

    async def converse(self, prompt: Prompt, context: CallContext) -> AsyncGenerator[ReplyWords | Step, None]:
        self.told.append(prompt)
        try:
            for said in self.rounds[min(len(self.told), len(self.rounds)) - 1]:
                if isinstance(said, asyncio.Event):
                    await said.wait()
                elif isinstance(said, float):
                    await asyncio.sleep(said)
                elif isinstance(said, ServiceError):
                    raise said
                else:
                    yield said
        except (asyncio.CancelledError, GeneratorExit):
            self.hung_up += 1
            raise


def mkdir(step_id: str) -> Step:
    return Step(step_id, "os", "mkdir", {"args": [step_id]}, (), "")


@dataclass
class Turn:
    world: Mind
    outlet: RecordingOutlet = field(default_factory=RecordingOutlet)

    async def type(self, text: str = "do it", *, audio: bool = True) -> None:
        await TurnLane(frame_for(self.world, self.outlet), None, ReplyFormat(audio=audio), text).run()

    @property
    def reply(self) -> str:
        return "".join(event.text for event in self.outlet.of(TurnReply))

    @property
    def status(self) -> str:
        return self.outlet.of(TurnDone)[0].status
