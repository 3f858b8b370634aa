from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import grpc
import pytest

from protos import stt_pb2
from server.upstream import BreakerPolicy, CircuitState
from server.upstream import stt as stt_module
from server.upstream.stt import FREE_STREAMS, LINGER_PER_STREAM_S, SttClient
from server.upstream.stt_stream import MAX_AUDIO_BYTES, MAX_QUEUED_BYTES, AudioSource
from streaming.ports import (
    EagerEnd,
    FinalTranscript,
    InterimTranscript,
    RecognitionConfig,
    RecognitionProgress,
    ServiceError,
    SpeechResumed,
    SpeechStarted,
    SpeechStopped,
    Word,
)
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import FakeServices, Fault

if TYPE_CHECKING:
    from streaming.ports import RecognitionEvent, RecognitionStream
    from tests.support.services import Call

FRAME = b"\1\0" * 320  # 20 ms at 16 kHz
CONFIG = RecognitionConfig(language="de-DE", vocabulary=("Jarvis",), interim=False)


class Taken:
    """The microphone's credit."""

    def __init__(self) -> None:
        self.n_bytes = 0
        self.times = 0

    def __call__(self, n_bytes: int) -> None:
        self.n_bytes += n_bytes
        self.times += 1


async def read_all(stream: RecognitionStream) -> list[RecognitionEvent]:
    return [event async for event in stream if not isinstance(event, RecognitionProgress)]


async def count_audio(call: Call) -> None:
    """A recogniser that hears how many bytes there were in each utterance."""
    n_bytes = 0
    while (request := await call.read()) is not None:
        n_bytes += len(request.audio)
        if request.HasField("commit"):
            await call.write(final(str(n_bytes)))
            n_bytes = 0
    await call.write(final(str(n_bytes)))


def final(text: str) -> stt_pb2.RecognizeResponse:
    return stt_pb2.RecognizeResponse(final=stt_pb2.Final(text=text))


def texts(events: list[RecognitionEvent]) -> list[str]:
    return [event.text for event in events if isinstance(event, FinalTranscript)]


def fakes_hearing(handler: object = count_audio) -> FakeServices:
    fakes = FakeServices("stt")
    fakes.stt.on("Recognize", handler)  # type: ignore[arg-type] # any coroutine function over a Call
    return fakes


async def test_audio_arrives_whole_and_in_order_with_commits_in_their_places() -> None:
    taken = Taken()
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, taken)
        for number in range(100):
            stream.send_audio(bytes([number, 0]) * 320)
            if number == 29:
                stream.commit()
        stream.end()
        assert texts(await read_all(stream)) == [str(30 * 640), str(70 * 640)]
        requests = fakes.stt.calls[0].requests
    assert requests[0].config == stt_pb2.RecognizeConfig(
        language="de-DE", sample_rate_hz=16_000, endpointing=True, vocabulary=["Jarvis"]
    )
    assert b"".join(request.audio for request in requests) == b"".join(bytes([n, 0]) * 320 for n in range(100))
    assert taken.n_bytes == 100 * 640


async def test_frames_that_wait_together_leave_together() -> None:
    taken = Taken()
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, taken)
        for _ in range(50):
            stream.send_audio(FRAME)
        stream.end()
        await read_all(stream)
    assert taken.times == 1


async def test_every_event_comes_in_our_words() -> None:
    sent = [
        stt_pb2.RecognizeResponse(speech_started=stt_pb2.SpeechStarted(at_ms=120)),
        stt_pb2.RecognizeResponse(partial=stt_pb2.Partial(text="hello w", stable_chars=5)),
        stt_pb2.RecognizeResponse(),
        stt_pb2.RecognizeResponse(eager_end=stt_pb2.EagerEnd(at_ms=700, text="hello")),
        stt_pb2.RecognizeResponse(speech_resumed=stt_pb2.SpeechResumed(at_ms=800)),
        stt_pb2.RecognizeResponse(speech_stopped=stt_pb2.SpeechStopped(at_ms=900)),
        stt_pb2.RecognizeResponse(
            final=stt_pb2.Final(
                text="hello world",
                confidence=0.75,
                start_ms=120,
                end_ms=900,
                words=[stt_pb2.Word(text="hello", start_ms=120, end_ms=400, confidence=0.5)],
            )
        ),
    ]
    async with FakeServices("stt") as fakes, fakes.upstream() as upstream:
        fakes.stt.answer("Recognize", *sent)
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        stream.end()
        events = await read_all(stream)
    assert events == [
        SpeechStarted(120),
        InterimTranscript("hello w", 5),
        EagerEnd(700, "hello"),
        SpeechResumed(800),
        SpeechStopped(900),
        FinalTranscript("hello world", 0.75, 120, 900, (Word("hello", 120, 400, 0.5),)),
    ]


async def test_credit_is_held_back_while_the_service_takes_nothing() -> None:
    taken = Taken()
    listen = asyncio.Event()

    async def deaf(call: Call) -> None:
        await listen.wait()
        await count_audio(call)

    async with fakes_hearing(deaf) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, taken)
        await fakes.stt.call()
        total = 0
        while total < 1_000_000:
            stream.send_audio(FRAME)
            total += len(FRAME)
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        assert taken.n_bytes < 500_000, "HTTP/2 windows and buffers, not all of it"
        listen.set()
        stream.end()
        assert texts(await read_all(stream)) == [str(total)]
        assert taken.n_bytes == total


async def test_a_caller_who_ignores_credit_is_cut_off() -> None:
    async def deaf(call: Call) -> None:
        await call.ended.wait()

    async with fakes_hearing(deaf) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        for _ in range(2 * MAX_QUEUED_BYTES // 640):
            stream.send_audio(FRAME)
        with pytest.raises(ServiceError, match="RESOURCE_EXHAUSTED"):
            await read_all(stream)
        assert upstream.circuits()["stt"] is CircuitState.CLOSED


async def test_cancel_ends_the_reader_without_an_error_and_reaches_the_server() -> None:
    observed = Observed()
    async with fakes_hearing() as fakes, fakes.upstream(observer=observed) as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_all(stream), name="reader")
            call = await fakes.stt.call()
            stream.cancel()
        assert reading.result() == []
        await call.ended.wait()
        assert call.cancelled
        stream.send_audio(FRAME)
        stream.commit()
        stream.end()
        stream.cancel()
        assert await read_all(stream) == []
        assert upstream.running_calls()["stt"] == 0
    assert observed.statuses() == ["CANCELLED"]


async def test_cancelled_before_it_is_read_nothing_is_left() -> None:
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        stream.cancel()
        assert await read_all(stream) == []
        assert upstream.running_calls()["stt"] == 0
        while len(upstream._streams):  # the service is being asked for a trunk, too
            await asyncio.sleep(0.005)


async def test_leaving_the_reader_or_cancelling_its_task_hangs_up() -> None:
    async def talk(call: Call) -> None:
        await call.write(final("one"))
        await call.ended.wait()

    async with fakes_hearing(talk) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        reader = asyncio.get_running_loop().create_task(read_all(stream))
        call = await fakes.stt.call()
        await asyncio.sleep(0.01)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
        await call.ended.wait()
        assert call.cancelled
        assert upstream.running_calls()["stt"] == 0


@pytest.mark.parametrize("busy", [False, True], ids=["silent", "while audio flows"])
async def test_a_server_that_dies_in_mid_stream_is_unavailable(busy: bool) -> None:
    observed = Observed()
    async with fakes_hearing() as fakes, fakes.upstream(observer=observed) as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        stream.send_audio(FRAME)
        call = await fakes.stt.call()
        async with asyncio.TaskGroup() as group:
            stopping = group.create_task(fakes.stt.stop(), name="dying")
            while busy and not stopping.done():
                stream.send_audio(FRAME)
                await asyncio.sleep(0)
            with pytest.raises(ServiceError) as raised:
                await read_all(stream)
        assert (raised.value.code, raised.value.service, raised.value.retryable) == ("UNAVAILABLE", "stt", True)
        stream.send_audio(FRAME)
        await call.ended.wait()
        while len(upstream._streams):  # the writer ends with its stream
            await asyncio.sleep(0.005)
    assert observed.statuses() == ["UNAVAILABLE"]


@pytest.mark.parametrize("attempt", range(5))
async def test_the_services_own_refusal_is_heard_through_a_flood_of_audio(attempt: int) -> None:
    async def refuse(call: Call) -> None:
        for _ in range(attempt + 1):
            await call.read()
        await call.abort(grpc.StatusCode.INVALID_ARGUMENT, "8000 to 48000 Hz")

    async with fakes_hearing(refuse) as fakes, fakes.upstream() as upstream:
        taken, sent = Taken(), 0
        stream = upstream.services.stt.recognize(CONFIG, CALLER, taken)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(outcome(stream), name="reader")
            while not reading.done():
                while sent - taken.n_bytes < 300_000:
                    stream.send_audio(FRAME * 10)
                    sent += len(FRAME) * 10
                await asyncio.sleep(0)
        assert reading.result() == ("INVALID_ARGUMENT", "8000 to 48000 Hz")


async def outcome(stream: RecognitionStream) -> tuple[str, str]:
    try:
        await read_all(stream)
    except ServiceError as broken:
        return broken.code, broken.message
    return "OK", ""


async def test_silence_after_the_end_of_the_audio_has_a_limit() -> None:
    async def listen_and_hang(call: Call) -> None:
        while await call.read() is not None:
            pass
        await call.ended.wait()

    async with fakes_hearing(listen_and_hang) as fakes, fakes.upstream(deadline_ms=80) as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        stream.send_audio(FRAME)
        call = await fakes.stt.call()
        stream.end()
        assert await outcome(stream) == ("DEADLINE_EXCEEDED", "speech recognition did not answer in time")
        await call.ended.wait()


async def test_the_limit_starts_anew_with_every_event_and_only_after_the_end() -> None:
    async def slow(call: Call) -> None:
        while await call.read() is not None:
            pass
        for text in "abcd":
            await asyncio.sleep(0.9)
            await call.write(final(text))

    async with fakes_hearing(slow) as fakes, fakes.upstream(deadline_ms=3_000) as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_all(stream), name="reader")
            await asyncio.sleep(3.2)
            assert not reading.done(), "an open microphone may be silent for as long as it likes"
            stream.end()
        assert texts(reading.result()) == list("abcd")


async def test_a_service_that_stops_taking_audio_has_hung() -> None:
    async def deaf(call: Call) -> None:
        await call.ended.wait()

    async with fakes_hearing(deaf) as fakes, fakes.upstream(deadline_ms=100) as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        for _ in range(1600):
            stream.send_audio(FRAME)
        assert (await outcome(stream))[0] == "DEADLINE_EXCEEDED"


async def test_an_open_circuit_is_told_to_the_reader() -> None:
    policy = BreakerPolicy(min_faults=1, open_s=60)
    async with fakes_hearing() as fakes, fakes.upstream(policy=policy) as upstream:
        fakes.stt.faults.append(Fault(grpc.StatusCode.INTERNAL, "no model"))
        assert await outcome(upstream.services.stt.recognize(CONFIG, CALLER, Taken())) == ("INTERNAL", "no model")
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        stream.send_audio(FRAME)
        stream.commit()
        stream.end()
        assert (await outcome(stream))[0] == "CIRCUIT_OPEN"
        stream.cancel()


@pytest.mark.parametrize(
    "config", [RecognitionConfig(sample_rate_hz=-1), RecognitionConfig(vocabulary=("\ud800",))], ids=["rate", "text"]
)
async def test_a_config_that_cannot_be_sent_is_the_callers_mistake(config: RecognitionConfig) -> None:
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(config, CALLER, Taken())
        assert (await outcome(stream))[0] == "INVALID_ARGUMENT"
        assert upstream.running_calls()["stt"] == 0
        assert fakes.stt.calls == []


async def test_a_broken_credit_callback_breaks_its_own_stream_only() -> None:
    def broken(_n_bytes: int) -> None:
        raise RuntimeError("a bug in the lane")

    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        bad = upstream.services.stt.recognize(CONFIG, CALLER, broken)
        good = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        for stream in (bad, good):
            stream.send_audio(FRAME)
            stream.end()
        assert (await outcome(bad))[0] == "INTERNAL"
        assert texts(await read_all(good)) == ["640"]


async def test_many_streams_share_one_connection() -> None:
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        streams = [upstream.services.stt.recognize(CONFIG, CALLER, Taken()) for _ in range(60)]
        async with asyncio.TaskGroup() as group:
            readers = [group.create_task(read_all(stream), name="reader") for stream in streams]
            for number, stream in enumerate(streams):
                for _ in range(number):
                    stream.send_audio(FRAME)
                stream.end()
        assert [texts(reader.result()) for reader in readers] == [[str(640 * number)] for number in range(60)]
        assert len({call.peer for call in fakes.stt.calls}) == 1


async def test_on_a_busy_gateway_frames_gather_but_commits_and_ends_do_not_wait(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(stt_module, "FREE_STREAMS", 0)
    monkeypatch.setattr(stt_module, "LINGER_PER_STREAM_S", 600)
    monkeypatch.setattr(stt_module, "MAX_LINGER_S", 600)
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        call = await fakes.stt.call()
        for commit in (True, False):
            for _ in range(10):
                stream.send_audio(FRAME)
                await asyncio.sleep(0.002)
            if commit:
                stream.commit()
                while len(call.requests) < 3:
                    await asyncio.sleep(0.002)
        stream.end()
        assert texts(await read_all(stream)) == ["6400", "6400"]
        assert [(request.WhichOneof("request"), len(request.audio)) for request in call.requests] == [
            ("config", 0),
            ("audio", 6400),
            ("commit", 0),
            ("audio", 6400),
        ]


async def test_a_few_microphones_never_wait() -> None:
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        streams = [upstream.services.stt.recognize(CONFIG, CALLER, Taken()) for _ in range(FREE_STREAMS + 8)]
        client = upstream.services.stt
        assert isinstance(client, SttClient)
        assert client._busy_s() == pytest.approx(8 * LINGER_PER_STREAM_S)
        for stream in streams[:8]:
            stream.cancel()
        assert client._busy_s() == 0.0
        for stream in streams:
            stream.cancel()


async def test_bytes_that_are_no_event_are_an_internal_error() -> None:
    async with fakes_hearing() as fakes, fakes.upstream() as upstream:
        fakes.stt.faults.append(Fault(raw=b"\xff\xff"))
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        assert (await outcome(stream))[0] == "INTERNAL"


def test_one_message_has_a_bound_and_nothing_is_lost() -> None:
    taken = Taken()
    outbox = AudioSource(taken, lambda: 0.0)
    frame = b"\0" * 1000
    for _ in range(200):
        outbox.audio(frame)
    sizes = []
    while (request := outbox.take()) is not None:
        sizes.append(len(request.audio))
        outbox.sent()
    assert max(sizes) <= MAX_AUDIO_BYTES
    assert len(sizes) == 4
    assert sum(sizes) == taken.n_bytes == 200_000
    assert outbox.queued_bytes == 0


def test_a_single_frame_over_the_bound_still_leaves() -> None:
    outbox = AudioSource(Taken(), lambda: 0.0)
    outbox.audio(b"\0" * (MAX_AUDIO_BYTES + 2))
    request = outbox.take()
    assert request is not None
    assert len(request.audio) == MAX_AUDIO_BYTES + 2
