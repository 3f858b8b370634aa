"""pipecat's `OpenAIRealtimeLLMService`, unmodified, in a pipeline: a typed turn, a spoken one, words into a reply, an error.

Prints one line of JSON. python drive_pipecat.py BASE TOKEN WAV
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from typing import Any

from loguru import logger
from pipecat.frames.frames import (
    ErrorFrame,
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    LLMContextFrame,
    LLMFullResponseEndFrame,
    LLMMessagesAppendFrame,
    TranscriptionFrame,
    TTSAudioRawFrame,
    TTSTextFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.runner import PipelineRunner
from pipecat.pipeline.task import PipelineParams, PipelineTask
from pipecat.processors.aggregators.llm_context import LLMContext
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.services.openai.realtime import events
from pipecat.services.openai.realtime.llm import OpenAIRealtimeLLMService

PATIENCE_S = 25
RATE_HZ = 16_000


class Noting(FrameProcessor):
    """Passes everything on, and keeps it."""

    def __init__(self) -> None:
        super().__init__()
        self.frames: asyncio.Queue[Frame] = asyncio.Queue()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        self.frames.put_nowait(frame)
        await self.push_frame(frame, direction)

    async def until(self, kind: type[Frame]) -> dict[str, Any]:
        audio_bytes, words = 0, []
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = await self.frames.get()
                if isinstance(frame, TTSAudioRawFrame):
                    audio_bytes += len(frame.audio)
                elif isinstance(frame, TTSTextFrame):
                    words += frame.text.split()
                if isinstance(frame, kind):
                    return {"text": " ".join(words), "audio_bytes": audio_bytes}


async def main(base: str, token: str, path: str) -> None:
    logger.remove()
    source = events.AudioInput(
        transcription=events.InputAudioTranscription(), turn_detection=events.SemanticTurnDetection()
    )
    voice = events.AudioOutput(voice="alloy")
    properties = events.SessionProperties(
        instructions="be brief", audio=events.AudioConfiguration(input=source, output=voice)
    )
    settings = OpenAIRealtimeLLMService.Settings(session_properties=properties)
    service = OpenAIRealtimeLLMService(api_key=token, base_url=f"{base}/realtime", settings=settings)
    above, below = Noting(), Noting()
    task = PipelineTask(Pipeline([above, service, below]), params=PipelineParams(audio_in_sample_rate=RATE_HZ))
    running = asyncio.get_running_loop().create_task(PipelineRunner(handle_sigint=False).run(task))
    with wave.open(path) as file:
        pcm = file.readframes(file.getnframes()) + bytes(RATE_HZ * 2)

    async def say() -> None:
        for start in range(0, len(pcm), 640):
            piece = pcm[start : start + 640]
            await task.queue_frame(InputAudioRawFrame(audio=piece, sample_rate=RATE_HZ, num_channels=1))

    await task.queue_frame(LLMContextFrame(LLMContext([{"role": "user", "content": "help"}])))
    typed = await below.until(LLMFullResponseEndFrame)
    await say()
    spoken = await below.until(LLMFullResponseEndFrame)
    await say()
    await below.until(TTSAudioRawFrame)
    await task.queue_frame(InterruptionFrame())
    await say()
    await below.until(LLMFullResponseEndFrame)
    after = await below.until(LLMFullResponseEndFrame)
    while not after["text"]:  # if the reply was complete before the interruption, pipecat ends it once more
        after = await below.until(LLMFullResponseEndFrame)
    append = LLMMessagesAppendFrame([{"role": "assistant", "content": "I was elsewhere."}], run_llm=False)
    await task.queue_frame(append)
    error = ""
    try:
        await asyncio.wait_for(service.retrieve_conversation_item("nobody"), PATIENCE_S)
    except Exception as refused:  # noqa: BLE001 - pipecat raises nothing narrower
        error = str(refused)
    seen = [above.frames.get_nowait() for _ in range(above.frames.qsize())]
    heard = [frame.text for frame in seen if isinstance(frame, TranscriptionFrame)]
    fatal = [frame.error for frame in seen if isinstance(frame, ErrorFrame)]
    print(
        json.dumps({"typed": typed, "spoken": spoken, "after": after, "heard": heard, "error": error, "fatal": fatal})
    )
    await task.cancel()
    await running


asyncio.run(main(*sys.argv[1:4]))
