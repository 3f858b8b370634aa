from __future__ import annotations

import asyncio
from contextlib import aclosing
from typing import TYPE_CHECKING

import grpc

from protos import tts_pb2
from server.upstream import BreakerPolicy
from streaming.ports import (
    ServiceError,
    SynthesisAudio,
    SynthesisConfig,
    SynthesisDone,
    SynthesisStarted,
    SynthesisWords,
    Voice,
    Word,
)
from tests.server.upstream.observing import CALLER, Observed
from tests.support.services import FakeServices, Fault

if TYPE_CHECKING:
    from streaming.ports import SynthesisEvent, SynthesisStream
    from tests.support.services import Call

CONFIG = SynthesisConfig("en-us", 1.5, "en-US")
CHUNK = b"\0" * 4096


def audio(pcm: bytes) -> tts_pb2.SynthesizeResponse:
    return tts_pb2.SynthesizeResponse(audio=pcm)


async def read_all(stream: SynthesisStream) -> list[SynthesisEvent]:
    return [event async for event in stream]


async def outcome(stream: SynthesisStream) -> tuple[str, str]:
    try:
        await read_all(stream)
    except ServiceError as broken:
        return broken.code, broken.message
    return "OK", ""


async def echo(call: Call) -> None:
    """A synthesiser whose audio is the text."""
    await call.read()
    await call.write(tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=22_050, voice="en-us")))
    while (request := await call.read()) is not None:
        await call.write(audio(request.text.encode()))
    words = [tts_pb2.Word(text="hi", start_ms=0, end_ms=10)]
    await call.write(
        tts_pb2.SynthesizeResponse(words=tts_pb2.Words(words=words)),
        tts_pb2.SynthesizeResponse(),
        tts_pb2.SynthesizeResponse(done=tts_pb2.Done(duration_ms=10)),
    )


async def talk_for_ever(call: Call) -> None:
    while True:
        await call.write(audio(CHUNK))


def fakes_speaking(handler: object = echo) -> FakeServices:
    fakes = FakeServices("tts")
    fakes.tts.on("Synthesize", handler)  # type: ignore[arg-type] # any coroutine function over a Call
    return fakes


async def test_text_goes_up_in_pieces_and_speech_comes_down() -> None:
    observed = Observed()
    async with fakes_speaking() as fakes, fakes.upstream(observer=observed) as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("It is ")
        stream.send_text("")
        stream.send_text("five.")
        stream.end()
        events = await read_all(stream)
        assert fakes.tts.calls[0].requests[0].config == tts_pb2.SynthesizeConfig(
            voice="en-us", speed=1.5, language="en-US"
        )
    assert events[0] == SynthesisStarted(22_050, "en-us")
    assert b"".join(event.pcm for event in events if isinstance(event, SynthesisAudio)) == b"It is five."
    assert events[-2:] == [SynthesisWords((Word("hi", 0, 10),)), SynthesisDone(10)]
    assert observed.calls == [("tts", "Synthesize", "OK")]


async def test_text_sent_later_is_spoken_later() -> None:
    async with fakes_speaking() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        async with aclosing(stream.__aiter__()) as events:  # type: ignore[type-var] # it is a generator
            assert await anext(events) == SynthesisStarted(22_050, "en-us")
            stream.send_text("one")
            assert await anext(events) == SynthesisAudio(b"one")
            stream.send_text("two")
            assert await anext(events) == SynthesisAudio(b"two")
            stream.end()
            assert isinstance(await anext(events), SynthesisWords)


async def test_a_reader_that_stops_holds_the_service_back() -> None:
    async with fakes_speaking(talk_for_ever) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        events = stream.__aiter__()
        await anext(events)
        call = await fakes.tts.call()
        await still(call)
        ahead = (call.n_written - 1) * len(CHUNK)
        assert ahead <= 320_000, "the HTTP/2 window and both ends' buffers"
        for _ in range(100):
            await anext(events)
        await still(call)
        assert (call.n_written - 101) * len(CHUNK) <= 320_000, "and it does not grow with use"
        stream.cancel()


async def still(call: Call) -> None:
    """Wait until the server's writing has stopped."""
    before = -1
    while call.n_written != before:
        before = call.n_written
        await asyncio.sleep(0.1)


async def test_one_stopped_reader_does_not_hold_the_others_back() -> None:
    async with fakes_speaking(talk_for_ever) as fakes, fakes.upstream() as upstream:
        stopped = [upstream.services.tts.synthesize(CONFIG, CALLER) for _ in range(5)]
        for number in range(5):
            await still(await fakes.tts.call(number))
        going = upstream.services.tts.synthesize(CONFIG, CALLER)
        events = going.__aiter__()
        heard = [await anext(events) for _ in range(500)]
        assert heard == [SynthesisAudio(CHUNK)] * 500
        for stream in [*stopped, going]:
            stream.cancel()


async def test_cancel_reaches_the_server_at_once() -> None:
    observed = Observed()
    async with fakes_speaking(talk_for_ever) as fakes, fakes.upstream(observer=observed) as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        events = stream.__aiter__()
        await anext(events)
        call = await fakes.tts.call()
        stream.cancel()
        await call.ended.wait()
        assert call.cancelled
        assert [event async for event in events] == []
        assert upstream.running_calls()["tts"] == 0
    assert observed.statuses() == ["CANCELLED"]


async def test_cancel_while_the_reader_waits_ends_it_quietly() -> None:
    async with fakes_speaking() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(read_all(stream), name="reader")
            await fakes.tts.call()
            stream.cancel()
        assert [event for event in reading.result() if not isinstance(event, SynthesisStarted)] == []


async def test_leaving_the_loop_early_stops_the_synthesis() -> None:
    async with fakes_speaking(talk_for_ever) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        async with aclosing(stream.__aiter__()) as events:  # type: ignore[type-var] # it is a generator
            async for _event in events:
                break
        call = await fakes.tts.call()
        await call.ended.wait()
        assert call.cancelled


async def test_a_service_that_falls_silent_while_it_is_read_has_hung() -> None:
    async def stall(call: Call) -> None:
        await call.write(audio(b"xx"))
        await call.ended.wait()

    async with fakes_speaking(stall) as fakes, fakes.upstream(deadline_ms=80) as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("hello")
        stream.end()
        assert await outcome(stream) == ("DEADLINE_EXCEEDED", "speech synthesis did not answer in time")


async def test_a_reader_that_takes_its_time_is_not_a_service_that_hangs() -> None:
    async with fakes_speaking() as fakes, fakes.upstream(deadline_ms=3_000) as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("hello")
        stream.end()
        events: list[SynthesisEvent] = []
        async for event in stream:
            await asyncio.sleep(0 if events else 3.5)
            events.append(event)
        assert isinstance(events[-1], SynthesisDone)


async def test_a_server_that_dies_while_it_speaks_is_unavailable() -> None:
    async with fakes_speaking(talk_for_ever) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        async with asyncio.TaskGroup() as group:
            reading = group.create_task(outcome(stream), name="reader")
            await fakes.tts.call()
            await fakes.tts.stop()
        assert reading.result() == ("UNAVAILABLE", "speech synthesis cannot be reached")


async def test_text_that_is_no_unicode_ends_it_as_the_callers_mistake() -> None:
    async with fakes_speaking() as fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(CONFIG, CALLER)
        stream.send_text("\udcff")
        assert (await outcome(stream))[0] == "INVALID_ARGUMENT"
        bad_config = upstream.services.tts.synthesize(SynthesisConfig(voice="\udcff"), CALLER)
        assert (await outcome(bad_config))[0] == "INVALID_ARGUMENT"


async def test_refusals_keep_their_words_and_an_open_circuit_is_told() -> None:
    async with fakes_speaking() as fakes, fakes.upstream(policy=BreakerPolicy(min_faults=1, open_s=60)) as upstream:
        fakes.tts.faults.append(Fault(grpc.StatusCode.NOT_FOUND, "no voice xx"))
        assert await outcome(upstream.services.tts.synthesize(CONFIG, CALLER)) == ("NOT_FOUND", "no voice xx")
        fakes.tts.faults.append(Fault(grpc.StatusCode.UNAVAILABLE, "eSpeak NG is missing"))
        assert (await outcome(upstream.services.tts.synthesize(CONFIG, CALLER)))[0] == "UNAVAILABLE"
        assert await outcome(upstream.services.tts.synthesize(CONFIG, CALLER)) == (
            "CIRCUIT_OPEN",
            "speech synthesis is failing: eSpeak NG is missing",
        )


async def test_voices() -> None:
    async with FakeServices("tts") as fakes, fakes.upstream() as upstream:
        voice = tts_pb2.Voice(
            id="en-us", name="American", language="en-US", gender="male", sample_rate_hz=22_050, engine="espeak"
        )
        fakes.tts.answer("ListVoices", tts_pb2.ListVoicesResponse(voices=[voice]))
        assert await upstream.services.tts.voices("en-US", CALLER) == [
            Voice("en-us", "American", "en-US", "male", 22_050, "espeak")
        ]
        assert fakes.tts.calls[0].requests[0].language == "en-US"
