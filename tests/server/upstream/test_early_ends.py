"""A service that ends a stream with OK before its work is done has failed: what it gave is not all."""

from __future__ import annotations

import io
import wave
from typing import TYPE_CHECKING

import pytest

from protos import stt_pb2, tts_pb2
from server.audio.transcription import transcribe
from server.audio.upload import UploadDecoder
from streaming.ports import FinalTranscript, RecognitionProgress, ServiceError, SynthesisConfig
from tests.server.upstream.observing import CALLER
from tests.server.upstream.test_stt import CONFIG, FRAME, Taken, fakes_hearing, final
from tests.server.upstream.test_trunk import fakes_with_trunks, open_stream, trunk_of
from tests.server.upstream.test_tts import outcome
from tests.support.services import FakeServices

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from typing import Any

    from streaming.ports import RecognitionStream
    from tests.support.services import Call


async def hear_one(call: Call) -> None:
    """A recogniser that ends after the first audio."""
    await call.read()
    await call.read()
    await call.write(final("hello"))


async def hear_one_in_a_trunk(requests: AsyncIterator[stt_pb2.RecognizeRequest], context: Any) -> None:
    await anext(requests)
    await context.write(final("hello"))


async def read_until_it_breaks(stream: RecognitionStream) -> tuple[list[str], str]:
    heard: list[str] = []
    try:
        async for event in stream:
            assert not isinstance(event, RecognitionProgress)
            if isinstance(event, FinalTranscript):
                heard.append(event.text)
    except ServiceError as broken:
        return heard, broken.code
    return heard, "OK"


async def test_a_recogniser_that_ends_before_the_audio_has_failed() -> None:
    async with fakes_hearing(hear_one) as fakes, fakes.upstream() as upstream:
        stream = upstream.services.stt.recognize(CONFIG, CALLER, Taken())
        stream.send_audio(FRAME)
        assert await read_until_it_breaks(stream) == (["hello"], "UNAVAILABLE")


async def test_so_has_one_in_a_trunk() -> None:
    async with fakes_with_trunks(hear_one_in_a_trunk) as fakes, fakes.upstream() as upstream:
        await trunk_of(upstream)
        stream = open_stream(upstream)
        stream.send_audio(FRAME)
        assert await read_until_it_breaks(stream) == (["hello"], "UNAVAILABLE")


async def test_a_part_of_a_file_is_no_transcript() -> None:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(16_000)
        written.writeframes(bytes(32_000 * 20))
    file.seek(0)
    heard: list[str] = []
    async with fakes_hearing(hear_one) as fakes, fakes.upstream() as upstream:
        decoder = UploadDecoder(file)
        with pytest.raises(ServiceError, match="UNAVAILABLE: speech recognition ended before the audio did"):
            await transcribe(
                decoder,
                "en-US",
                upstream.services.stt,
                CALLER,
                lambda _progress: None,
                heard=lambda event: heard.append(event.text),
            )
        decoder.close()
    assert heard == ["hello"]


async def test_speech_that_ends_without_being_done_has_failed() -> None:
    async def say_half(call: Call) -> None:
        await call.read()
        await call.write(tts_pb2.SynthesizeResponse(started=tts_pb2.Started(sample_rate_hz=16_000, voice="v")))
        await call.write(tts_pb2.SynthesizeResponse(audio=b"half"))

    fakes = FakeServices("tts")
    fakes.tts.on("Synthesize", say_half)
    async with fakes, fakes.upstream() as upstream:
        stream = upstream.services.tts.synthesize(SynthesisConfig(), CALLER)
        stream.send_text("half of this")
        stream.end()
        assert await outcome(stream) == ("UNAVAILABLE", "speech synthesis ended before the utterance did")
