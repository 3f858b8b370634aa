"""M3 with the light engine, as seen by callers: a real service process, real eSpeak NG."""

from __future__ import annotations

import array
import asyncio
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest

from protos import tts_pb2, tts_pb2_grpc
from tests.server.embedded.speech import embedded

if TYPE_CHECKING:
    from collections.abc import Iterator

RATE_HZ = 22_050
SENTENCE = "Your favourite colour is blue."
COUNTING = "one two three four five six seven eight nine ten"


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded(tmp_path_factory.mktemp("tts"), "tts", TTS_ENGINE="espeak") as bound:
        yield bound["tts"]


def config(**fields: Any) -> tts_pb2.SynthesizeRequest:
    return tts_pb2.SynthesizeRequest(config=tts_pb2.SynthesizeConfig(**fields))


def text(*parts: str) -> list[tts_pb2.SynthesizeRequest]:
    return [tts_pb2.SynthesizeRequest(text=part) for part in parts]


class Utterance:
    """All that came back."""

    def __init__(self, responses: list[tts_pb2.SynthesizeResponse]) -> None:
        self.kinds = [str(response.WhichOneof("event")) for response in responses]
        self.started = responses[0].started
        self.done = responses[-1].done
        self.chunks = [response.audio for response in responses if response.HasField("audio")]
        self.pcm = b"".join(self.chunks)
        self.words = [word for response in responses if response.HasField("words") for word in response.words.words]
        self.duration_ms = len(self.pcm) / 2 / RATE_HZ * 1000

    @property
    def samples(self) -> array.array[int]:
        return array.array("h", self.pcm)


def alike(one: Utterance, other: Utterance) -> bool:
    """The same but for the flutter that eSpeak puts into a voice by chance: some samples more or less."""
    if [word.text for word in one.words] != [word.text for word in other.words]:
        return False
    starts = zip(one.words, other.words, strict=True)
    return abs(one.duration_ms - other.duration_ms) < 10 and all(abs(a.start_ms - b.start_ms) < 10 for a, b in starts)


async def speak(address: str, *parts: str, **fields: Any) -> Utterance:
    async with grpc.aio.insecure_channel(address) as channel:
        requests = [config(**fields), *text(*parts)]
        return Utterance(
            [response async for response in tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(iter(requests))]
        )


async def test_a_sentence_is_spoken(address: str) -> None:
    spoken = await speak(address, SENTENCE)
    assert spoken.kinds[0] == "started"
    assert spoken.kinds[-1] == "done"
    assert spoken.started.sample_rate_hz == RATE_HZ
    assert spoken.started.voice == "en-us"
    assert 1000 < spoken.duration_ms < 3000
    assert abs(spoken.done.duration_ms - spoken.duration_ms) <= 1
    assert max(abs(sample) for sample in spoken.samples) > 5_000
    assert max(len(chunk) for chunk in spoken.chunks) <= RATE_HZ * 2 * 60 // 1000


async def test_words_are_as_written_and_their_times_follow_each_other(address: str) -> None:
    written = 'Naïve “José” paid $5.00 at 10:30, didn\'t he? <b>Yes</b> — 100% — "really" 日本 😀 done.'
    spoken = await speak(address, written)
    position = 0
    for word in spoken.words:
        position = written.index(word.text, position) + len(word.text)
    assert {"Naïve", "$5.00", "10:30,", "didn't", "<b>Yes</b>", "done."} <= {word.text for word in spoken.words}
    edges = [edge for word in spoken.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert edges[-1] <= spoken.done.duration_ms + 1


async def test_words_come_with_the_audio_they_begin_in(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(iter([config(), *text(COUNTING)]))
        at_ms = 0.0
        async for response in call:
            if response.HasField("audio"):
                at_ms += len(response.audio) / 2 / RATE_HZ * 1000
            for word in response.words.words:
                assert at_ms - 1 <= word.start_ms <= at_ms + 61


@pytest.mark.parametrize(
    ("speed", "shortest", "longest"), [(0.25, 3.4, 4.6), (0.5, 1.8, 2.3), (2, 0.42, 0.56), (4, 0.2, 0.32)]
)
async def test_speed_changes_the_length_and_the_words_with_it(
    address: str, speed: float, shortest: float, longest: float
) -> None:
    normal, changed = await speak(address, COUNTING), await speak(address, COUNTING, speed=speed)
    assert shortest <= changed.duration_ms / normal.duration_ms <= longest
    assert abs(changed.words[-1].end_ms - changed.duration_ms) < 5
    assert [word.text for word in changed.words] == COUNTING.split()


async def test_text_may_come_in_any_pieces(address: str) -> None:
    whole = await speak(address, "It is ten past five. Anything else, Dr. Smith?")
    pieces = await speak(address, *"It is ten past five. Anything else, Dr. Smith?")
    assert alike(pieces, whole)


async def test_a_sentence_is_spoken_while_the_next_is_still_being_written(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = tts_pb2_grpc.TextToSpeechStub(channel).Synthesize()
        for request in [config(), *text("It is ten past five. ", "And the weather")]:
            await call.write(request)
        heard: list[str] = []
        while heard[-1:] != ["five."]:
            response = await _next(call)
            heard += [word.text for word in response.words.words]
        await call.write(*text(" is fine."))
        await call.done_writing()
        while not (response := await _next(call)).HasField("done"):
            heard += [word.text for word in response.words.words]
    assert heard == ["It", "is", "ten", "past", "five.", "And", "the", "weather", "is", "fine."]


async def test_sentences_are_a_breath_apart_and_their_edges_are_soft(address: str) -> None:
    spoken = await speak(address, "Stop. Go on.", voice="en-us+f3")  # a variant that ends in mid-wave
    gap = next(word.start_ms for word in spoken.words if word.text == "Go")
    before = spoken.samples[RATE_HZ * (gap - 280) // 1000 : RATE_HZ * (gap - 10) // 1000]
    assert set(before) == {0}
    edge = spoken.samples[RATE_HZ * (gap - 300) // 1000 : RATE_HZ * (gap - 290) // 1000]
    assert max(abs(after - sample) for sample, after in pairwise(edge)) < 2_000
    assert spoken.samples[0] == spoken.samples[-1] == 0


async def test_voices_are_alike_in_loudness(address: str) -> None:
    for voice in ("en-us", "en-us+klatt", "en-us+belinda", "en-gb", "de", "es"):
        samples = (await speak(address, COUNTING, voice=voice)).samples
        rms = (sum(sample * sample for sample in samples) / len(samples)) ** 0.5
        assert 1_800 < rms < 4_500, voice
        assert max(abs(sample) for sample in samples) < 32_767, voice


async def test_markup_and_control_characters_are_text(address: str) -> None:
    spoken = await speak(address, "<speak>hi <break time='9s'/></speak> [[h@loU]]")
    assert spoken.duration_ms < 9_000
    assert "<speak>hi" in [word.text for word in spoken.words]
    plain, odd = await speak(address, "one two"), await speak(address, "one\x01two")
    assert abs(odd.duration_ms - plain.duration_ms) < 10
    assert [word.text for word in odd.words] == ["one\x01two"]


@pytest.mark.parametrize("parts", [(), ("",), ("   \n\n ",)])
async def test_no_text_is_said_at_once(address: str, parts: tuple[str, ...]) -> None:
    spoken = await speak(address, *parts)
    assert spoken.kinds == ["started", "done"]
    assert spoken.done.duration_ms == 0


async def test_a_long_text_without_any_stop_is_spoken_to_its_end(address: str) -> None:
    spoken = await speak(address, "word " * 200 + "a" * 700, speed=4)
    assert [word.text for word in spoken.words][:200] == ["word"] * 200
    assert "".join(word.text for word in spoken.words[200:]) == "a" * 700


@pytest.mark.parametrize(
    ("fields", "voice"),
    [
        ({}, "en-us"),
        ({"language": "en-GB"}, "en-gb"),
        ({"language": "en"}, "en-us"),
        ({"language": "en-IN"}, "en-us"),
        ({"language": "de-AT"}, "de"),
        ({"language": "fr-FR"}, "fr-fr"),
        ({"language": "fr_CA"}, "fr-fr"),
        ({"language": "pt-BR"}, "pt-br"),
        ({"language": "es-MX"}, "es-419"),
        ({"language": "zh-CN"}, "cmn"),
        ({"voice": "EN-US"}, "en-us"),
        ({"voice": "en-us+Klatt"}, "en-us+klatt"),
        ({"voice": "en-gb", "language": "de"}, "en-gb"),
        ({"voice": "en-US-Standard-A"}, "en-us"),
        ({"voice": "en-US-Standard-B"}, "en-us+m3"),
        ({"voice": "en-US-Standard-C"}, "en-us+f3"),
        ({"voice": "en-US-Neural2-E"}, "en-us+f2"),
        ({"voice": "en-GB-Wavenet-A"}, "en-gb+f3"),
        ({"voice": "en-GB-Wavenet-B"}, "en-gb"),
        ({"voice": "de-DE-Wavenet-B"}, "de"),
    ],
)
async def test_voices_are_found_by_id_by_googles_names_and_by_language(
    address: str, fields: dict[str, str], voice: str
) -> None:
    spoken = await speak(address, "ok", **fields)
    assert spoken.started.voice == voice
    assert max(abs(sample) for sample in spoken.samples) > 3_000


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([], "config"),
        (text("hello"), "config"),
        ([tts_pb2.SynthesizeRequest()], "config"),
        ([config(), config()], "twice"),
        ([config(), tts_pb2.SynthesizeRequest()], "no text"),
        ([config(voice="nosuch")], "ListVoices"),
        ([config(voice="en-us+nosuch")], "ListVoices"),
        ([config(voice="../../etc/passwd")], "ListVoices"),
        ([config(voice="xx-YY-Standard-A")], "ListVoices"),
        ([config(language="tlh-KX")], "ListVoices"),
        ([config(speed=0.24)], "0.25"),
        ([config(speed=4.01)], "0.25"),
        ([config(speed=-1)], "0.25"),
        ([config(speed=float("nan"))], "0.25"),
        ([config(speed=float("inf"))], "0.25"),
        ([config(), *text("a" * 100_001)], "100000"),
        ([config(), *text("...", " !? ")], "nothing to say"),
        ([config(), *text("\x00\x07")], "nothing to say"),
        ([config(), *text("|")], "nothing to say"),
        ([config(), *text("①②③")], "cannot say '①②③'"),
        ([config(), *text("٣٤")], "cannot say"),
    ],
)
async def test_bad_input_is_refused_with_words(
    address: str, requests: list[tts_pb2.SynthesizeRequest], words: str
) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(iter(requests))
        with pytest.raises(grpc.aio.AioRpcError) as refused:
            [response async for response in call]
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(refused.value.details())


async def test_a_cancelled_call_stops_and_the_next_is_served(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        for _ in range(5):
            call = tts_pb2_grpc.TextToSpeechStub(channel).Synthesize(iter([config(speed=0.25), *text("word " * 4000)]))
            while not (await _next(call)).HasField("audio"):
                pass
            call.cancel()
            assert await call.code() is grpc.StatusCode.CANCELLED
    assert (await speak(address, "done")).duration_ms > 100


async def _next(call: Any) -> tts_pb2.SynthesizeResponse:
    response = await call.read()
    assert isinstance(response, tts_pb2.SynthesizeResponse), "the call ended"
    return response


async def test_a_long_text_that_nobody_reads_holds_nobody_up(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        stalled = [stub.Synthesize(iter([config(speed=0.5), *text("A long sentence. " * 2000)])) for _ in range(4)]
        for call in stalled:
            assert (await _next(call)).HasField("started")
        spoken = await asyncio.gather(*(speak(address, SENTENCE) for _ in range(4)))
        for call in stalled:
            call.cancel()
            assert await call.code() is grpc.StatusCode.CANCELLED
    assert all(alike(utterance, spoken[0]) for utterance in spoken)


async def test_callers_at_once_do_not_mix_voices_or_words(address: str) -> None:
    alone = [await speak(address, SENTENCE * 3, voice=voice) for voice in ("en-us", "en-gb+f3", "de")]
    together = await asyncio.gather(
        *(speak(address, SENTENCE * 3, voice=voice) for voice in ("en-us", "en-gb+f3", "de"))
    )
    assert all(alike(one, other) for one, other in zip(together, alone, strict=True))
    assert not alike(together[0], together[1])


async def test_voices_are_listed_with_what_one_needs_to_choose(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        voices = (await stub.ListVoices(tts_pb2.ListVoicesRequest())).voices
        british = (await stub.ListVoices(tts_pb2.ListVoicesRequest(language="en-GB"))).voices
        none = (await stub.ListVoices(tts_pb2.ListVoicesRequest(language="tlh"))).voices
    ids = [voice.id for voice in voices]
    assert len(ids) == len(set(ids)) > 400
    assert {"en-us", "en-gb", "de", "fr-fr", "yue", "cmn"} <= set(ids)
    assert not {"kaa", "xex", "fo"} & set(ids), "languages whose dictionary the library lacks"
    assert {voice.sample_rate_hz for voice in voices} == {RATE_HZ}
    assert {voice.gender for voice in voices} == {"male", "female"}
    assert "en-GB" in {voice.language for voice in british}
    assert {voice.id for voice in british} >= {"en-gb", "en-gb+f3"}
    assert "en-us" not in {voice.id for voice in british}
    assert list(none) == []


@pytest.mark.parametrize(
    ("language", "listed"),
    [
        ("de-DE", {"de"}),
        ("de_AT", {"de"}),
        ("de-DE-1996", {"de"}),
        ("de-x-home", {"de"}),
        ("en-ZA", {"en-us", "en-gb"}),
        ("fr", {"fr-fr", "fr-be"}),
        ("tlh-DE", set()),
        ("-", set()),
    ],
)
async def test_a_region_that_no_voice_has_lists_the_voices_of_the_language(
    address: str, language: str, listed: set[str]
) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        voices = (await stub.ListVoices(tts_pb2.ListVoicesRequest(language=language))).voices
    ids = {voice.id for voice in voices}
    assert ids >= listed
    assert bool(ids) == bool(listed)
    assert {voice.language.partition("-")[0] for voice in voices} <= {language[:2]}


async def test_every_listed_voice_speaks(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        stub = tts_pb2_grpc.TextToSpeechStub(channel)
        voices = (await stub.ListVoices(tts_pb2.ListVoicesRequest())).voices
        mute = []
        for voice in voices:
            if "+" not in voice.id:
                requests = iter([config(voice=voice.id), *text("1")])
                try:
                    spoken = Utterance([response async for response in stub.Synthesize(requests)])
                except grpc.aio.AioRpcError as refused:
                    mute.append(refused.details())
                    continue
                assert spoken.started.voice == voice.id
                assert any(spoken.samples)
    # eSpeak NG knows no numbers in Cherokee, Chuvash and Sindarin
    assert mute == [f"the voice {voice} cannot say '1'" for voice in ("chr-us-qaaa-x-west", "cv", "sjn")]


@pytest.mark.parametrize("letter", ["İ", "ı", "Ĳ"])
async def test_a_word_of_hundreds_of_letters_is_spoken_and_the_service_goes_on(address: str, letter: str) -> None:
    """The library crashes at it in one piece."""
    assert (await speak(address, letter * 250, voice="ro")).pcm
    assert (await speak(address, "unu doi trei", voice="ro")).pcm
