"""M3 as seen by callers, with the engines of a normal installation: the natural voice, and eSpeak NG for the rest."""

from __future__ import annotations

import array
import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import tts_pb2, tts_pb2_grpc
from tests.server.embedded.speech import embedded

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator

RATE_HZ = 24_000
LONG = "This sentence is one of a great many sentences that follow each other for a long time. " * 60


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded(tmp_path_factory.mktemp("tts"), "tts") as bound:
        yield bound["tts"]


def asking(text: str, **fields: Any) -> Iterator[tts_pb2.SynthesizeRequest]:
    yield tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(**fields))
    yield tts_pb2.SynthesizeRequest(text=text)


async def speak(address: str, text: str, **fields: Any) -> list[tts_pb2.SynthesizeResponse]:
    async with grpc.aio.insecure_channel(address) as channel:
        return [each async for each in tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(asking(text, **fields))]


def pcm(responses: list[tts_pb2.SynthesizeResponse]) -> bytes:
    return b"".join(response.audio for response in responses)


def words(responses: list[tts_pb2.SynthesizeResponse]) -> list[str]:
    return [word.text for response in responses for word in response.words.words]


async def test_the_natural_voice_speaks_by_default(address: str) -> None:
    said = await speak(address, "It is ten past five. Anything else?")
    assert said[0].started == tts_pb2.Started(sample_rate_hz=RATE_HZ, voice="heart")
    assert words(said) == ["It", "is", "ten", "past", "five.", "Anything", "else?"]
    assert 2_000 < said[-1].done.duration_ms < 3_500
    assert len(pcm(said)) / 2 / RATE_HZ * 1000 == pytest.approx(said[-1].done.duration_ms, abs=1)


async def test_the_same_text_is_the_same_samples_whoever_speaks_meanwhile(address: str) -> None:
    alone = pcm(await speak(address, "It is ten. And so on."))
    async with asyncio.TaskGroup() as group:
        another = group.create_task(speak(address, LONG), name="another speaker")
        together = await asyncio.gather(*(speak(address, "It is ten. And so on.") for _ in range(6)))
        assert not another.done()
        another.cancel()
    assert all(pcm(said) == alone for said in together)


async def test_a_trunk_speaks_as_calls_of_their_own_do(address: str) -> None:
    texts = ["It is ten. And so on.", "Twenty past five.", "No."]
    alone = await asyncio.gather(*(speak(address, text) for text in texts))

    async def items() -> AsyncIterator[tts_pb2.TrunkRequest]:
        for number, text in enumerate(texts, 1):
            yield tts_pb2.TrunkRequest(
                items=[tts_pb2.StreamRequest(stream=number, request=request) for request in asking(text)]
                + [tts_pb2.StreamRequest(stream=number, credit_bytes=1_000_000)]
                + [tts_pb2.StreamRequest(stream=number, end=True)]
            )

    together: dict[int, list[tts_pb2.SynthesizeResponse]] = {1: [], 2: [], 3: []}
    ends: dict[int, int] = {}
    async with grpc.aio.insecure_channel(address) as channel:
        async for message in tts_pb2_grpc.TextToSpeechStub(channel).SynthesizeMany(items()):
            for item in message.items:
                if item.HasField("response"):
                    together[item.stream].append(item.response)
                else:
                    ends[item.stream] = item.end.code
    assert ends == {1: 0, 2: 0, 3: 0}
    assert [pcm(said) for said in together.values()] == [pcm(said) for said in alone]
    assert [words(said) for said in together.values()] == [words(said) for said in alone]


@pytest.mark.parametrize(
    ("fields", "voice", "rate_hz"),
    [
        ({"language": "en-US"}, "heart", RATE_HZ),
        ({"language": "en-GB"}, "heart", RATE_HZ),
        ({"voice": "heart"}, "heart", RATE_HZ),
        ({"voice": "en-US-Standard-C"}, "heart", RATE_HZ),
        ({"voice": "en-US-Standard-B"}, "en-us+m3", 22_050),
        ({"voice": "en-gb"}, "en-gb", 22_050),
        ({"language": "de-DE"}, "de", 22_050),
        ({"language": "zh-CN"}, "cmn", 22_050),
    ],
)
async def test_who_speaks(address: str, fields: dict[str, str], voice: str, rate_hz: int) -> None:
    said = await speak(address, "1 2 3", **fields)
    assert said[0].started == tts_pb2.Started(sample_rate_hz=rate_hz, voice=voice)
    assert max(abs(sample) for sample in array.array("h", pcm(said))) > 5_000


@pytest.mark.parametrize(
    "text", ["привет", "你好", "こんにちは", "안녕하세요", "नमस्ते", "γεια σου", "It is done. Привет."]
)
async def test_what_the_voice_cannot_say_another_says(address: str, text: str) -> None:
    said = await speak(address, text)
    assert said[0].started.voice == "heart"
    assert len(pcm(said)) > RATE_HZ // 4 * 2
    assert max(abs(sample) for sample in array.array("h", pcm(said)[-RATE_HZ:])) > 3_000


@pytest.mark.parametrize("text", ["My friend is Владимир Петров today.", "東京 is far.", "I live in 東京"])
async def test_words_in_another_script_within_a_sentence_are_said(address: str, text: str) -> None:
    said = await speak(address, text)
    assert words(said) == text.split()
    times = [(word.start_ms, word.end_ms) for response in said for word in response.words.words]
    assert times == sorted(times)
    assert all(end - start > 60 for start, end in times)
    assert len(pcm(said)) / 2 / RATE_HZ * 1000 == pytest.approx(said[-1].done.duration_ms, abs=1)


@pytest.mark.parametrize("text", ["...", "😀", "ᚠᚢᚦ", "It is done. ᚠᚢᚦ."])
async def test_what_nobody_can_say_is_an_error_and_no_silence(address: str, text: str) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await speak(address, text)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "say" in (refused.value.details() or "")


async def test_a_text_of_digits_alone_is_refused_before_any_of_it_is_said(address: str) -> None:
    """It took minutes to make, and was twenty minutes of speech."""
    async with grpc.aio.insecure_channel(address) as channel:
        call = tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(asking("9" * 5_000))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            assert [response async for response in call if response.audio] == []
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_a_sign_beside_words_is_left_out(address: str) -> None:
    assert words(await speak(address, "It is done. 😀")) == ["It", "is", "done."]


@pytest.mark.parametrize(
    ("speed", "shortest", "longest"), [(0.25, 3.2, 4.6), (0.5, 1.7, 2.3), (2, 0.4, 0.6), (4, 0.2, 0.35)]
)
async def test_speed(address: str, speed: float, shortest: float, longest: float) -> None:
    text = "one two three four five six seven eight nine ten"
    normal, changed = await speak(address, text), await speak(address, text, speed=speed)
    assert shortest <= changed[-1].done.duration_ms / normal[-1].done.duration_ms <= longest
    assert words(changed) == text.split()


async def test_a_long_text_does_not_hold_up_anothers_first_sentence(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        made = 0

        async def read_all() -> None:
            nonlocal made
            async for response in stub.Synthesize(asking(LONG)):
                made += len(response.audio)

        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read_all(), name="a long text") for _ in range(4)]
            while made == 0:  # all threads are at work
                await asyncio.sleep(0.01)
            call = stub.Synthesize(asking("It is ten past five."))
            async for response in call:
                if response.audio:
                    break
            assert not all(reader.done() for reader in readers)
            for reader in readers:
                reader.cancel()


async def test_a_cancelled_call_stops_and_the_next_is_served(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        for _ in range(8):
            call = stub.Synthesize(asking(LONG))
            async for response in call:
                if response.audio:
                    break
            call.cancel()
            assert await call.code() is grpc.StatusCode.CANCELLED
    assert words(await speak(address, "done")) == ["done"]


async def test_voices_say_what_speaks(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        voices = (await tts_pb2_grpc.TextToSpeechStub(channel).ListVoices(tts_pb2.ListVoicesRequest())).voices
        health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(service=""))
        told = dict(await health.trailing_metadata() or ())
    first = voices[0]
    assert (first.id, first.language, first.engine, first.sample_rate_hz) == ("heart", "en-US", "hibari", RATE_HZ)
    assert {(voice.engine, voice.sample_rate_hz) for voice in voices[1:]} == {("espeak", 22_050)}
    assert told["x-health-engine"] == "hibari (heart)"
