"""M3 with an engine that fails at some texts: another one speaks, or the caller is told, and no call ends as INTERNAL."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import tts_pb2, tts_pb2_grpc
from server.embedded.fallback import Provided
from server.embedded.service import EmbeddedConfig
from server.embedded.tts import engines
from server.embedded.tts.engine import EngineVoice, Spoken, WordMark
from server.embedded.tts.service import TextToSpeechService

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator
    from pathlib import Path

RATE_HZ = 16_000


class Scripted:
    """An engine whose audio is a second for each text, as loud as `level`."""

    at_once = 1
    sample_rate_hz = RATE_HZ
    variants: tuple[str, ...] = ()

    def __init__(self, name: str, level: int, *, language: str = "en-us", fails: bool = False) -> None:
        self.name = name
        self.voices = (EngineVoice(f"{name}-voice", name, ((0, language),), "neutral"),)
        self.said: list[str] = []
        self._level, self._fails = level, fails

    def speaking_rate(self, speed: float) -> float:
        return speed

    def say(self, text: str, voice_id: str, speed: float, wanted: Callable[[], bool]) -> Spoken:
        self.said.append(text.strip())
        if self._fails and "bad" in text:
            raise IndexError(text)
        return Spoken(self._level.to_bytes(2, "little") * RATE_HZ, (WordMark(0, -5.0, -20.0),))


@asynccontextmanager
async def served(directory: Path, monkeypatch: pytest.MonkeyPatch, *made: Scripted) -> AsyncIterator[str]:
    async def load(_config: EmbeddedConfig) -> Provided[list[Any]]:
        return Provided(list(made), ())

    monkeypatch.setattr(engines, "load", load)
    service, server = TextToSpeechService(EmbeddedConfig(directory)), grpc.aio.server()
    await service.start()
    service.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    yield f"127.0.0.1:{port}"
    await server.stop(None)
    await service.stop()


async def speak(address: str, text: str, voice: str = "") -> list[tts_pb2.SynthesizeResponse]:
    def asking() -> Iterator[tts_pb2.SynthesizeRequest]:
        yield tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(voice=voice))
        yield tts_pb2.SynthesizeRequest(text=text)

    async with grpc.aio.insecure_channel(address) as channel:
        return [each async for each in tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(asking())]


async def test_a_sentence_that_an_engine_fails_at_is_said_by_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, other = Scripted("first", 100, fails=True), Scripted("other", 200)
    async with served(tmp_path, monkeypatch, first, other) as address:
        said = await speak(address, "A bad one. A good one.")
    assert (first.said, other.said) == (["A bad one.", "A good one."], ["A bad one."])
    words = [word for response in said for word in response.words.words]
    assert [word.text for word in words] == ["A", "A"]
    assert said[-1].done.duration_ms > 2_000


@pytest.mark.parametrize("language", ["en-us", "de"])
async def test_a_sentence_that_all_fail_at_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    """Nor is English read out by a German voice."""
    first, other = Scripted("first", 100, fails=True), Scripted("other", 200, language=language, fails=True)
    async with served(tmp_path, monkeypatch, first, other) as address:
        with pytest.raises(grpc.aio.AioRpcError) as told:
            await speak(address, "A good one. A bad one. Another good one.")
    assert told.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "fails at 'A bad one.'" in (told.value.details() or "")
    assert other.said == (["A bad one."] if language == "en-us" else [])
