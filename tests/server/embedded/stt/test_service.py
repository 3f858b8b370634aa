"""M2 as seen by callers: a real service process and real audio files. Audio is sent as fast as it is accepted, not in real time."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import grpc
import grpc.aio
import pytest
from av import AudioResampler
from av.audio.frame import AudioFrame
from grpc_health.v1 import health_pb2, health_pb2_grpc

from protos import stt_pb2, stt_pb2_grpc
from tests.server.embedded.speech import TRANSCRIPTS, embedded, folded, pause_at_bytes, recording, silence, word_errors

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

Response = stt_pb2.RecognizeResponse
FRAME_BYTES = 640  # 20 ms, as a browser sends them


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with embedded(tmp_path_factory.mktemp("stt"), "stt") as bound:
        yield bound["stt"]


def config(**fields: Any) -> stt_pb2.RecognizeRequest:
    settings: dict[str, Any] = {
        "language": "en-US",
        "sample_rate_hz": 16_000,
        "interim_results": True,
        "endpointing": True,
    } | fields
    return stt_pb2.RecognizeRequest(config=stt_pb2.RecognizeConfig(**settings))


def audio(pcm: bytes, frame_bytes: int = FRAME_BYTES) -> list[stt_pb2.RecognizeRequest]:
    return [
        stt_pb2.RecognizeRequest(audio=pcm[start : start + frame_bytes]) for start in range(0, len(pcm), frame_bytes)
    ]


COMMIT = stt_pb2.RecognizeRequest(commit=stt_pb2.Commit())


async def recognise(address: str, requests: Sequence[stt_pb2.RecognizeRequest]) -> list[Response]:
    async with grpc.aio.insecure_channel(address) as channel:
        return [event async for event in stt_pb2_grpc.SpeechToTextStub(channel).Recognize(iter(requests))]


async def next_event(call: grpc.aio.StreamStreamCall[stt_pb2.RecognizeRequest, Response]) -> Response:
    event = await call.read()
    assert isinstance(event, Response), "the call ended"
    return event


def kinds(events: list[Response]) -> list[str]:
    return [str(event.WhichOneof("event")) for event in events]


def finals(events: list[Response]) -> list[stt_pb2.Final]:
    return [event.final for event in events if event.HasField("final")]


def texts(events: list[Response]) -> list[str]:
    return [folded(final.text) for final in finals(events)]


def check_promises(events: list[Response]) -> None:
    """What was said to be stable stays, in all partials and the final behind it."""
    promised = ""
    for event in events:
        match event.WhichOneof("event"):
            case "partial":
                assert event.partial.text.startswith(promised)
                assert 0 <= event.partial.stable_chars <= len(event.partial.text)
                promised = max(promised, event.partial.text[: event.partial.stable_chars], key=len)
            case "final":
                assert event.final.text.startswith(promised)
                promised = ""
            case _:
                pass


@pytest.mark.parametrize("name", [name for name in TRANSCRIPTS if name.startswith("flite")])
async def test_the_agents_own_sentences_are_heard_exactly(address: str, name: str) -> None:
    events = await recognise(address, [config(), *audio(recording(name) + silence(600))])
    assert texts(events) == [TRANSCRIPTS[name]]
    assert finals(events)[0].confidence > 0.4  # lower where a partial had promised "Stop." with its full stop: 0.48
    check_promises(events)


async def test_people_who_say_something_else_are_heard(address: str) -> None:
    heard = {}
    for name in ("human-goforward", "human-card-001", "human-card-003"):
        events = await recognise(address, [config(), *audio(recording(name) + silence(600))])
        heard[name] = " ".join(texts(events))
        check_promises(events)
    assert sum(word_errors(text, TRANSCRIPTS[name]) for name, text in heard.items()) <= 1


async def test_events_come_in_order_and_times_lie_in_the_audio(address: str) -> None:
    events = await recognise(address, [config(), *audio(recording("flite-slt-list-files") + silence(600))])
    found = kinds(events)
    assert found[0] == "speech_started"
    assert found[-2:] == ["speech_stopped", "final"]
    assert set(found[1:-2]) <= {"partial", "eager_end", "speech_resumed"}
    final = finals(events)[0]
    assert 300 <= events[0].speech_started.at_ms == final.start_ms <= 600
    assert events[-2].speech_stopped.at_ms == final.end_ms
    assert 2400 <= final.end_ms <= 2900
    edges = [edge for word in final.words for edge in (word.start_ms, word.end_ms)]
    assert edges == sorted(edges)
    assert final.start_ms - 300 <= edges[0] <= edges[-1] <= final.end_ms + 300
    assert [word.text for word in final.words] == final.text.split()
    assert all(0 <= word.confidence <= 1 for word in final.words)


async def test_the_probable_end_is_told_before_the_end_with_the_same_words(address: str) -> None:
    events = await recognise(address, [config(), *audio(recording("flite-slt-what-time-is-it") + silence(600))])
    eager = [event.eager_end for event in events if event.HasField("eager_end")]
    assert [folded(end.text) for end in eager] == ["what time is it"]
    assert kinds(events).index("eager_end") < kinds(events).index("speech_stopped")


async def test_speech_that_goes_on_after_a_probable_end_takes_it_back(address: str) -> None:
    spoken = recording("flite-slt-what-time-is-it")
    first, second = spoken[: 16 * 2 * 1400], recording("flite-kal-yes-please")[16 * 2 * 520 :]
    gap = first + silence(60) + second + silence(600)  # with the recordings' own pauses: between probable and sure
    paused = pause_at_bytes(gap) + 640
    async with grpc.aio.insecure_channel(address) as channel:
        call = stt_pb2_grpc.SpeechToTextStub(channel).Recognize()
        for request in [config(), *audio(gap[:paused])]:
            await call.write(request)
        events: list[Response] = []
        while "eager_end" not in kinds(events):  # it is not told of a pause behind which more has come already
            events.append(await next_event(call))
        for request in audio(gap[paused:]):
            await call.write(request)
        await call.done_writing()
        while kinds(events)[-1] != "final":
            events.append(await next_event(call))
    found = kinds(events)
    assert found.count("final") == 1
    assert found.index("eager_end") < found.index("speech_resumed") < found.index("speech_stopped")


async def test_a_recogniser_that_owes_an_answer_shows_that_it_lives(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = stt_pb2_grpc.SpeechToTextStub(channel).Recognize()
        held = config(progress=True, interim_results=False, endpointing=False)
        for request in [held, *audio(recording("flite-slt-list-files")[: 32 * 600])]:
            await call.write(request)
        signs = 0
        while signs < 2:  # no audio comes any more, and no commit
            signs += (await next_event(call)).HasField("progress")
        await call.write(COMMIT)
        while not (await next_event(call)).HasField("final"):
            pass
        call.cancel()


async def test_words_are_shown_while_somebody_speaks(address: str) -> None:
    spoken = recording("flite-slt-list-files")[: 32 * 1800]
    async with grpc.aio.insecure_channel(address) as channel:
        call = stt_pb2_grpc.SpeechToTextStub(channel).Recognize()
        for request in [config(), *audio(spoken)]:
            await call.write(request)
        event = await next_event(call)
        while not event.HasField("partial"):
            event = await next_event(call)
        assert folded(event.partial.text).startswith("list")
        call.cancel()


async def test_two_utterances_follow_each_other_in_one_stream(address: str) -> None:
    pcm = recording("flite-slt-what-time-is-it") + silence(600) + recording("flite-slt-list-files") + silence(600)
    events = await recognise(address, [config(), *audio(pcm)])
    assert texts(events) == ["what time is it", "list files in the current directory"]
    first, second = finals(events)
    assert first.end_ms < second.start_ms
    found = kinds(events)
    assert [kind for kind in found if kind in {"speech_started", "speech_stopped", "final"}] == [
        "speech_started",
        "speech_stopped",
        "final",
    ] * 2
    check_promises(events)


async def test_speech_is_answered_while_the_stream_is_still_open(address: str) -> None:
    async with grpc.aio.insecure_channel(address) as channel:
        call = stt_pb2_grpc.SpeechToTextStub(channel).Recognize()
        for request in [config(), *audio(recording("flite-kal-stop") + silence(600))]:
            await call.write(request)
        event = await next_event(call)
        while not event.HasField("final"):
            event = await next_event(call)
        assert folded(event.final.text) == "stop"
        call.cancel()


async def test_half_close_in_the_middle_of_a_word_still_gives_a_final(address: str) -> None:
    cut = recording("flite-slt-what-time-is-it")[: 16 * 2 * 1300]
    events = await recognise(address, [config(), *audio(cut)])
    assert kinds(events)[-1] == "final"
    assert texts(events)[0].startswith("what time")


async def test_without_interim_results_there_are_no_partials(address: str) -> None:
    events = await recognise(
        address, [config(interim_results=False), *audio(recording("flite-kal-stop") + silence(600))]
    )
    assert "partial" not in kinds(events)
    assert texts(events) == ["stop"]


async def test_the_utterances_of_a_file_are_decoded_side_by_side_and_told_in_order(address: str) -> None:
    names = ("flite-slt-what-time-is-it", "flite-slt-list-files", "flite-kal-stop") * 3
    pcm = b"".join(recording(name) + silence(900) for name in names)
    events = await recognise(address, [config(interim_results=False), *audio(pcm, 32_000)])
    kinds = [event.WhichOneof("event") for event in events if not event.HasField("eager_end")]
    assert kinds == ["speech_started", "speech_stopped", "final"] * len(names)
    finals = [event.final for event in events if event.HasField("final")]
    assert [folded(final.text) for final in finals] == [folded(TRANSCRIPTS[name]) for name in names]
    assert [final.start_ms for final in finals] == sorted(final.start_ms for final in finals)


async def test_who_wants_to_know_is_told_how_far_silence_was_listened_to(address: str) -> None:
    pcm = silence(1_000) + recording("flite-kal-stop") + silence(2_000)
    events = await recognise(address, [config(progress=True), *audio(pcm)])
    listened = [event.progress.at_ms for event in events if event.HasField("progress")]
    assert listened == sorted(listened)
    final = finals(events)[0]
    assert [
        at_ms for at_ms in listened if final.start_ms + 500 < at_ms < final.end_ms
    ] == []  # of speech nothing is told
    assert listened[0] < 1_000
    assert listened[-1] > len(pcm) / 32 - 800


@pytest.mark.parametrize("rate_hz", [8_000, 44_100, 48_000])
async def test_any_sampling_rate_is_heard(address: str, rate_hz: int) -> None:
    pcm = resampled(recording("flite-slt-list-files") + silence(600), rate_hz)
    events = await recognise(address, [config(sample_rate_hz=rate_hz), *audio(pcm, 2 * rate_hz // 50)])
    assert word_errors(" ".join(texts(events)), "list files in the current directory") <= (2 if rate_hz == 8_000 else 0)
    assert 2400 <= finals(events)[-1].end_ms <= 2900


def resampled(pcm: bytes, rate_hz: int) -> bytes:
    frame = AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
    frame.sample_rate = 16_000
    frame.planes[0].update(pcm)
    engine = AudioResampler(format="s16", layout="mono", rate=rate_hz)
    return b"".join(
        bytes(out.planes[0])[: out.samples * 2] for out in [*engine.resample(frame), *engine.resample(None)]
    )


async def test_silence_says_nothing(address: str) -> None:
    assert await recognise(address, [config(), *audio(silence(3000))]) == []


async def test_the_size_of_the_messages_changes_nothing(address: str) -> None:
    pcm = recording("flite-slt-search-python-tutorials") + silence(600)
    for size in (334, len(pcm)):
        assert texts(await recognise(address, [config(), *audio(pcm, size)])) == ["search for python tutorials"]


async def test_push_to_talk_ends_at_the_commit_and_nowhere_else(address: str) -> None:
    pcm = recording("flite-slt-what-time-is-it") + silence(1500) + recording("flite-kal-yes-please")
    events = await recognise(address, [config(endpointing=False), *audio(pcm), COMMIT])
    assert texts(events) == ["what time is it yes please"]
    found = kinds(events)
    assert found[0] == "speech_started"
    assert found[-2:] == ["speech_stopped", "final"]
    assert "eager_end" not in found
    check_promises(events)


async def test_push_to_talk_every_commit_has_its_final_and_half_close_the_last(address: str) -> None:
    stop = audio(recording("flite-kal-stop"))
    requests = [config(endpointing=False), *stop, COMMIT, *audio(silence(400)), COMMIT, COMMIT, *stop]
    assert texts(await recognise(address, requests)) == ["stop", "", "", "stop"]


async def test_a_commit_ends_an_utterance_before_silence_does(address: str) -> None:
    spoken = recording("flite-slt-what-time-is-it")[: 16 * 2 * 1400]
    events = await recognise(address, [config(), *audio(spoken), COMMIT, *audio(silence(900)), COMMIT])
    assert texts(events) == ["what time is it", ""]


async def test_phrases_of_the_vocabulary_are_heard(address: str) -> None:
    events = await recognise(
        address,
        [
            config(vocabulary=["go forward ten meters", "xyzzyplugh", "go backward"]),
            *audio(recording("human-goforward") + silence(600)),
        ],
    )
    assert texts(events) == ["go forward ten meters"]
    assert finals(events)[0].confidence > 0.5


async def test_five_streams_at_once_are_all_heard(address: str) -> None:
    names = [
        "flite-slt-what-time-is-it",
        "flite-slt-list-files",
        "flite-kal-stop",
        "flite-kal-yes-please",
        "human-card-003",
    ]
    async with asyncio.TaskGroup() as group:
        running = [
            group.create_task(recognise(address, [config(), *audio(recording(name) + silence(600))]), name=name)
            for name in names
        ]
    assert [texts(task.result()) for task in running] == [[TRANSCRIPTS[name]] for name in names]


async def test_streams_that_are_cancelled_in_mid_word_leave_room_for_others(address: str) -> None:
    half = recording("flite-slt-list-files")[: 16 * 2 * 1500]
    async with grpc.aio.insecure_channel(address) as channel:
        stub = stt_pb2_grpc.SpeechToTextStub(channel)
        for _ in range(12):  # twice what two cores decode at once
            call = stub.Recognize()
            for request in [config(), *audio(half)]:
                await call.write(request)
            assert (await next_event(call)).HasField("speech_started")
            call.cancel()
    events = await recognise(address, [config(), *audio(recording("flite-kal-stop") + silence(600))])
    assert texts(events) == ["stop"]


@pytest.mark.parametrize(
    ("requests", "words"),
    [
        ([], "config"),
        (audio(silence(20)), "config"),
        ([COMMIT], "config"),
        ([stt_pb2.RecognizeRequest()], "config"),
        ([config(), config()], "twice"),
        ([config(), stt_pb2.RecognizeRequest()], "neither"),
        ([config(), stt_pb2.RecognizeRequest(audio=b"\0\0\0")], "even"),
        ([config(language="de-DE")], "English"),
        ([config(language="english")], "English"),
        ([config(sample_rate_hz=0)], "8000"),
        ([config(sample_rate_hz=7_999)], "8000"),
        ([config(sample_rate_hz=48_001)], "48000"),
        ([config(vocabulary=["word"] * 501)], "500"),
        ([config(vocabulary=["word " * 100])], "200"),
    ],
)
async def test_bad_input_is_refused_with_words(
    address: str, requests: list[stt_pb2.RecognizeRequest], words: str
) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as refused:
        await recognise(address, requests)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert words in str(refused.value.details())


@pytest.mark.parametrize("language", ["", "en", "en-GB", "EN_us"])
async def test_english_has_many_names(address: str, language: str) -> None:
    events = await recognise(address, [config(language=language), *audio(recording("flite-kal-stop") + silence(600))])
    assert texts(events) == ["stop"]


async def told(address: str, key: str) -> str:
    """Of its health."""
    async with grpc.aio.insecure_channel(address) as channel:
        check = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
        await check
        return str(dict(await check.trailing_metadata() or ())[key])


async def test_its_health_names_the_engine_and_its_languages(address: str) -> None:
    assert await told(address, "x-health-engine") == "whisper tiny.en"
    assert await told(address, "x-health-languages") == "en"


async def test_the_light_engine_recognises_speech_and_says_its_name(tmp_path: Path) -> None:
    with embedded(tmp_path, "stt", STT_ENGINE="pocketsphinx") as bound:
        assert await told(bound["stt"], "x-health-engine") == "pocketsphinx"
        for name in ("flite-slt-what-time-is-it", "flite-kal-yes-please"):
            events = await recognise(bound["stt"], [config(), *audio(recording(name) + silence(1000))])
            assert texts(events) == [TRANSCRIPTS[name]]
            check_promises(events)
