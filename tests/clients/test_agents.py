"""PyPI `openai-agents`, unmodified, if `make test-clients` has installed it."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from tests.clients.test_openai_sdk import FRAME_BYTES, async_client, at_24khz

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from tests.support.gateway import GatewayProcess

realtime = pytest.importorskip("agents.realtime", reason="make test-clients installs openai-agents")


async def until(session: Any, kind: str) -> list[str]:
    """Kinds of events up to that one."""
    kinds: list[str] = []
    async with asyncio.timeout(200):
        async for event in session:
            kinds.append(event.type)
            assert event.type != "error", event.error
            if event.type == kind:
                return kinds
    raise AssertionError(f"no {kind} in {kinds}")


async def test_openai_agents(gateway: GatewayProcess) -> None:
    runner = realtime.RealtimeRunner(realtime.RealtimeAgent(name="Jarvis", instructions="be brief"))
    where = {"api_key": gateway.token, "url": f"{gateway.ws}/v1/realtime?model=gpt-realtime"}
    session = await runner.run(model_config=where)
    async with session:
        await session.send_message("help")
        assert "audio" in await until(session, "agent_end")
        pcm = at_24khz("flite-slt-what-time-is-it")
        for start in range(0, len(pcm), FRAME_BYTES):
            await session.send_audio(pcm[start : start + FRAME_BYTES])
        assert "audio" in await until(session, "agent_end")
        await session.send_message("what can you do?")
        await until(session, "audio")
        await session.interrupt()
        await until(session, "agent_end")
        await session.send_message("what time is it")
        assert "audio" in await until(session, "agent_end")


@pytest.mark.parametrize("streamed", [False, True])
async def test_its_voice_pipeline(gateway: GatewayProcess, streamed: bool) -> None:
    """Speech to text by the audio endpoint or by a transcription session, text to speech by the endpoint."""
    numpy = pytest.importorskip("numpy")
    voice = pytest.importorskip("agents.voice")
    heard: list[str] = []

    class Repeating(voice.VoiceWorkflowBase):  # type: ignore[misc, name-defined] # known only where it is installed
        async def run(self, transcription: str) -> AsyncIterator[str]:
            heard.append(transcription)
            yield f"You said {transcription}"

    provider = voice.OpenAIVoiceModelProvider(openai_client=async_client(gateway))
    pipeline = voice.VoicePipeline(
        workflow=Repeating(), config=voice.VoicePipelineConfig(model_provider=provider, tracing_disabled=True)
    )
    samples = numpy.frombuffer(at_24khz("flite-slt-what-time-is-it"), dtype=numpy.int16)
    if streamed:
        source = voice.StreamedAudioInput()
        for start in range(0, len(samples), FRAME_BYTES):
            await source.add_audio(samples[start : start + FRAME_BYTES])
        # It commits what it has not heard yet, and expects a certain error if that is nothing
        await source.add_audio(None)
    else:
        source = voice.AudioInput(buffer=samples)
    n_samples = 0
    async with asyncio.timeout(200):
        async for event in (await pipeline.run(source)).stream():
            if event.type == "voice_stream_event_audio" and event.data is not None:
                n_samples += len(event.data)
    assert len(heard) == 1
    assert "time" in heard[0].lower()
    assert n_samples > 24_000
