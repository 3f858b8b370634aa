"""The optional engine, with a stand-in for its package: its voices are not installed on test machines."""

from __future__ import annotations

import json
import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace
from typing import TYPE_CHECKING, Any

import grpc.aio
import pytest

from protos import tts_pb2, tts_pb2_grpc
from server.embedded.service import EmbeddedConfig
from server.embedded.tts.piper import Piper
from server.embedded.tts.service import TextToSpeechService
from server.embedded.tts.voices import VoiceCatalogue

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

RATE_HZ = 16_000


class StandIn:
    """Answers as piper.PiperVoice 1.8 does: a chunk per sentence, 100 ms a character here."""

    config = SimpleNamespace(sample_rate=RATE_HZ, length_scale=1.0)
    texts: tuple[str, ...] = ()

    @classmethod
    def load(cls, path: str) -> StandIn:
        assert path.endswith(".onnx")
        return cls()

    def synthesize(self, text: str, settings: Any) -> Iterator[Any]:
        StandIn.texts += (text,)
        n_samples = round(len(text) * RATE_HZ // 10 * settings.length_scale)
        yield SimpleNamespace(audio_int16_bytes=b"\x00\x10" * n_samples)


@pytest.fixture
def voice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    module = ModuleType("piper")
    module.__spec__ = ModuleSpec("piper", None)
    module.PiperVoice = StandIn  # type: ignore[attr-defined] # a stand-in
    module.SynthesisConfig = SimpleNamespace  # type: ignore[attr-defined] # a stand-in
    monkeypatch.setitem(sys.modules, "piper", module)
    path = tmp_path / "en_GB-alan-low.onnx"
    path.touch()
    description = {"language": {"code": "en_GB"}}
    path.with_name("en_GB-alan-low.onnx.json").write_text(json.dumps(description), encoding="utf-8")
    return path


async def test_a_voice_file_speaks_instead_of_espeak(voice: Path) -> None:
    service = TextToSpeechService(EmbeddedConfig(options=(("TTS_VOICE_PATH", str(voice)),)))
    await service.start()
    server = grpc.aio.server()
    service.add_to(server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        voices = (await stub.ListVoices(tts_pb2.ListVoicesRequest())).voices
        config = tts_pb2.SynthesizeConfig(voice="en-GB-Standard-A", speed=2)
        requests = [tts_pb2.SynthesizeRequest(config=config), tts_pb2.SynthesizeRequest(text="ab cdefgh.")]
        responses = [response async for response in stub.Synthesize(iter(requests))]
    await server.stop(0)
    await service.stop()
    assert [(each.id, each.language, each.engine, each.sample_rate_hz) for each in voices][:1] == [
        ("en-gb-alan-low", "en-GB", "piper", RATE_HZ)
    ]
    assert {each.engine for each in voices[1:]} == {"espeak"}, "other languages"
    assert responses[0].started.voice == "en-gb-alan-low"
    assert responses[-1].done.duration_ms == 500
    words = [word for response in responses for word in response.words.words]
    assert [(word.text, word.end_ms) for word in words] == [("ab", 111), ("cdefgh.", 500)]


@pytest.mark.parametrize(
    ("content", "words"), [(None, "onnx.json"), ("not JSON", "JSONDecodeError"), ("[]", "AttributeError")]
)
async def test_a_voice_with_a_broken_description_costs_that_voice(
    voice: Path, caplog: pytest.LogCaptureFixture, content: str | None, words: str
) -> None:
    description = voice.with_name("en_GB-alan-low.onnx.json")
    if content is None:
        description.unlink()
    else:
        description.write_text(content)
    await falls_back(voice, caplog, words)


async def test_a_voice_that_does_not_speak_costs_that_voice(
    voice: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "synthesize", lambda *_: ["not audio"])
    await falls_back(voice, caplog, "AttributeError")


async def test_so_does_a_silent_one(
    voice: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(StandIn, "synthesize", lambda *_: [SimpleNamespace(audio_int16_bytes=bytes(3_200))])
    await falls_back(voice, caplog, "the voice makes no sound")


def test_any_name_of_a_file_is_a_voice(voice: Path) -> None:
    """The sign + stands before a variant, so that nobody found the engine of such a voice."""
    named = voice.rename(voice.with_name("en_GB-alan+low.onnx"))
    voice.with_name(f"{voice.name}.json").rename(named.with_name(f"{named.name}.json"))
    engine = Piper(str(named))
    catalogue = VoiceCatalogue([engine])
    assert catalogue.default() == "en-gb-alan-low"
    assert catalogue.engine_of(catalogue.resolve("", "")) is engine


async def falls_back(voice: Path, caplog: pytest.LogCaptureFixture, words: str) -> None:
    service = TextToSpeechService(EmbeddedConfig(options=(("TTS_VOICE_PATH", str(voice)),)))
    await service.start()
    await service.stop()
    assert service.engine == "hibari (heart) without TTS_VOICE_PATH"
    (told,) = caplog.messages
    assert told.startswith("hibari speaks instead: TTS_VOICE_PATH")
    assert words in told


async def test_a_word_of_hundreds_of_letters_comes_in_parts(voice: Path) -> None:
    """eSpeak NG, which makes Piper's phonemes, may crash at it."""
    Piper(str(voice)).say("a " + "b" * 250, "", 1.0, lambda: True)
    assert [len(word) for word in StandIn.texts[-1].split()] == [1, 100, 100, 50]
