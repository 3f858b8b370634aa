"""livekit's `RealtimeModel`, unmodified: a typed turn, a spoken one, two interruptions, an error. Prints one line of JSON.

python drive_livekit.py BASE TOKEN WAV
"""

from __future__ import annotations

import asyncio
import json
import sys
import wave
from typing import Any

import aiohttp
from livekit import rtc
from livekit.plugins import openai

PATIENCE_S = 25


async def read(generation: Any) -> dict[str, Any]:
    """What a reply says, and how many samples sound."""
    text, samples = "", 0
    async for message in generation.message_stream:
        async for piece in message.text_stream:
            text += piece
        async for frame in message.audio_stream:
            samples += len(frame.data)
    return {"text": text, "samples": samples}


def push(session: Any, path: str) -> None:
    with wave.open(path) as file:
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    pcm += bytes(rate_hz * 2)
    step = rate_hz // 50 * 2
    for start in range(0, len(pcm), step):
        piece = pcm[start : start + step]
        session.push_audio(rtc.AudioFrame(piece, rate_hz, 1, len(piece) // 2))


async def type_words(session: Any, text: str) -> Any:
    context = session.chat_ctx.copy()
    context.add_message(role="user", content=text)
    await session.update_chat_ctx(context)
    return await session.generate_reply()


async def main(base: str, token: str, path: str) -> None:
    async with aiohttp.ClientSession() as http:
        session = openai.realtime.RealtimeModel(
            base_url=base, api_key=token, http_session=http, model="gpt-realtime"
        ).session()
        generations: asyncio.Queue[Any] = asyncio.Queue()
        errors: list[str] = []
        heard: list[str] = []
        session.on("generation_created", generations.put_nowait)
        session.on("error", lambda told: errors.append(told.error.body.code))
        session.on(
            "input_audio_transcription_completed", lambda told: heard.append(told.transcript) if told.is_final else None
        )
        await session.update_instructions("be brief")
        typed = await read(await type_words(session, "help"))
        await generations.get()
        push(session, path)
        spoken = await read(await asyncio.wait_for(generations.get(), PATIENCE_S))
        cut = await type_words(session, "what can you do?")
        await generations.get()
        message = await anext(aiter(cut.message_stream))
        await anext(aiter(message.audio_stream))
        session.interrupt()
        session.truncate(message_id=message.message_id, modalities=["audio"], audio_end_ms=10)
        await asyncio.sleep(0.5)
        push(session, path)
        after = await read(await asyncio.wait_for(generations.get(), PATIENCE_S))
        session.truncate(message_id="nobody", modalities=["audio"], audio_end_ms=10)
        async with asyncio.timeout(PATIENCE_S):
            while not errors:
                await asyncio.sleep(0.05)
        await session.aclose()
        print(json.dumps({"typed": typed, "spoken": spoken, "after": after, "heard": heard, "errors": errors}))


asyncio.run(main(*sys.argv[1:4]))
