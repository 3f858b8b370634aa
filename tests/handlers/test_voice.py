"""Audio files over HTTP: uploads in every format to the recogniser, and synthesised speech in every format."""

from __future__ import annotations

import asyncio
import errno
import io
import struct
from typing import TYPE_CHECKING, Any
from unittest.mock import Mock

import av
import pytest

from handlers.uploads import SPOOL_BYTES
from handlers.voice import SpeakHandler
from server.audio.decode import FileDecoder
from server.audio.encode import audio_encoder
from server.audio.upload import UploadDecoder
from streaming.ports import FinalTranscript, ServiceError, Word
from tests.support.rest import Rest, document, problem, running

if TYPE_CHECKING:
    from pathlib import Path

    from tornado.httpclient import HTTPResponse

STT = "/api/v1/voice/stt"
TTS = "/api/v1/voice/tts"
BOUNDARY = "----boundary"


def tone(seconds: float, rate_hz: int = 16_000) -> bytes:
    """A buzz, as PCM."""
    return struct.pack("<16h", *range(-8000, 8000, 1000)) * int(seconds * rate_hz / 16)


def audio_file(name: str, seconds: float = 1.0) -> bytes:
    """A file of that format; webm is Opus in Matroska, as MediaRecorder writes it."""
    pcm = tone(seconds)
    if name == "webm":
        return webm(pcm)
    encoder = audio_encoder(name, 16_000, 16_000)
    return encoder.encode(pcm) + encoder.finish()


def webm(pcm: bytes, *, video: bool = False) -> bytes:
    sink = io.BytesIO()
    with av.open(sink, "w", format="webm") as container:
        picture = container.add_stream("libvpx", rate=10, width=64, height=64, pix_fmt="yuv420p") if video else None
        stream: Any = container.add_stream("libopus", rate=48_000, layout="mono")
        resampler = av.AudioResampler(format=stream.format, layout="mono", rate=48_000)
        frame = av.AudioFrame(format="s16", layout="mono", samples=len(pcm) // 2)
        frame.sample_rate = 16_000
        frame.planes[0].update(pcm)
        if picture is not None:
            container.mux(picture.encode(av.VideoFrame(64, 64, "yuv420p")))
            container.mux(picture.encode(None))
        for resampled in [*resampler.resample(frame), *resampler.resample(None)]:
            container.mux(stream.encode(resampled))
        container.mux(stream.encode(None))
    return sink.getvalue()


def form(parts: list[tuple[str, bytes]], *, end: bool = True) -> bytes:
    body = b""
    for name, data in parts:
        file = '; filename="speech.bin"' if name == "audio" else ""
        body += f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{file}\r\n\r\n'.encode() + data + b"\r\n"
    return body + (f"--{BOUNDARY}--\r\n".encode() if end else b"")


async def transcribe(gw: Rest, body: bytes, **options: Any) -> HTTPResponse:
    headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return await gw.fetch("POST", STT, body, headers=headers, **options)


# --- speech to text ---


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac", "webm"])
async def test_a_file_of_every_format_is_heard(tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as gw:
        gw.script.utterances = [
            FinalTranscript("what time", 0.5, 0, 400, (Word("what", 0, 200, 0.4), Word("time", 200, 400, 0.6))),
            FinalTranscript("", 0.0, 400, 500),
            FinalTranscript("is", 0.8, 500, 900, (Word("is", 500, 900, 0.8),)),
        ]
        answer = await transcribe(gw, form([("audio", audio_file(name)), ("language", b"en-GB")]))
        heard_ms = len(gw.script.heard) / 32
    assert answer.code == 200
    told = document(answer)
    assert (told["text"], told["language"]) == ("what time is", "en-GB")
    assert told["confidence"] == pytest.approx((0.5 * 2 + 0.8) / 3)
    assert [word["text"] for word in told["words"]] == ["what", "time", "is"]
    assert told["words"][0] == {"text": "what", "start_ms": 0, "end_ms": 200, "confidence": 0.4}
    assert told["duration_ms"] == pytest.approx(1000, abs=150)  # codecs pad
    assert heard_ms == pytest.approx(told["duration_ms"], abs=1)


async def test_a_long_file_is_handed_over_no_faster_than_it_is_taken(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await transcribe(gw, form([("audio", audio_file("wav", 20.0))]))
        assert document(answer)["duration_ms"] == 20_000
        assert len(gw.script.heard) == 20 * 32_000


async def test_silence_is_an_answer(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        told = document(await transcribe(gw, form([("audio", audio_file("wav"))])))
        assert told == {"text": "", "language": "en-US", "confidence": 0.0, "duration_ms": 1000, "words": []}


async def test_a_film_is_heard_and_not_watched(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await transcribe(gw, form([("audio", webm(tone(1.0), video=True))]))
        assert document(answer)["duration_ms"] == pytest.approx(1000, abs=100)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no audio at all" * 100,
        b"RIFF\xff\xff\xff\xffWAVE",
        b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
        b"ffconcat version 1.0\nfile '/etc/passwd'\n",
        b"\x89PNG\r\n\x1a\n" + bytes(100),
    ],
)
async def test_what_is_no_audio_is_refused(tmp_path: Path, data: bytes) -> None:
    async with running(tmp_path) as gw:
        answer = await transcribe(gw, form([("audio", data)]))
        assert problem(answer) == (422, "UNREADABLE_AUDIO")
        assert gw.script.contexts == []


async def test_a_file_cut_short_gives_what_it_holds(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        whole = audio_file("mp3", 2.0)
        answer = await transcribe(gw, form([("audio", whole[: len(whole) // 2])]))
        assert 500 < document(answer)["duration_ms"] < 1500


async def test_hours_in_a_few_kilobytes_are_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(UploadDecoder.__init__, "__defaults__", (2.0,))
    async with running(tmp_path) as gw:
        answer = await transcribe(gw, form([("audio", audio_file("flac", 5.0))]))
        assert problem(answer) == (413, "AUDIO_TOO_LONG")
        assert len(gw.script.heard) <= 3 * 32_000


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (form([]), (422, "VALIDATION_ERROR")),
        (form([("language", b"en-US")]), (422, "VALIDATION_ERROR")),
        (form([("audio", b"x"), ("audio", b"y")]), (422, "VALIDATION_ERROR")),
        (form([("audio", b"x"), ("more", b"y")]), (422, "VALIDATION_ERROR")),
        (form([("audio", audio_file("wav")), ("language", b"\xff")]), (422, "VALIDATION_ERROR")),
        (form([("audio", audio_file("wav")), ("language", b"x" * 2000)]), (422, "VALIDATION_ERROR")),
        (form([("audio", audio_file("wav")), ("language", b"not a tag")]), (422, "VALIDATION_ERROR")),
        (form([("audio", audio_file("wav"))], end=False), (400, "BAD_REQUEST")),
        (b"", (400, "BAD_REQUEST")),
        (b"no form", (400, "BAD_REQUEST")),
        (form([("audio", b"x")] * 40), (422, "VALIDATION_ERROR")),
    ],
)
async def test_odd_forms(tmp_path: Path, body: bytes, expected: tuple[int, str]) -> None:
    async with running(tmp_path) as gw:
        assert problem(await transcribe(gw, body)) == expected
        assert gw.script.contexts == []


async def test_a_form_that_is_no_text_is_not_quoted(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await transcribe(gw, f"--{BOUNDARY}\r\nX: ".encode() + b"\xed\xa0\x80\r\n\r\n")
        assert problem(answer) == (400, "BAD_REQUEST")
        assert document(answer)["detail"] == "the form cannot be read: Segment header failed to decode"


@pytest.mark.parametrize("content_type", ["application/json", "multipart/form-data", "multipart/mixed; boundary=x", ""])
async def test_only_forms_are_read(tmp_path: Path, content_type: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", STT, b"{}", headers={"Content-Type": content_type})
        assert problem(answer) == (415, "UNSUPPORTED_MEDIA_TYPE")


async def test_who_may_not_come_in_is_refused_before_the_upload(tmp_path: Path) -> None:
    head = f"POST {STT} HTTP/1.1\r\nHost: x\r\nContent-Length: 30000000\r\nContent-Type: multipart/form-data; boundary=x\r\n\r\n"
    async with running(tmp_path) as gw:
        answer = await gw.raw(head.encode())
        assert answer.startswith(b"HTTP/1.1 401")
        assert b"Connection: close" in answer


async def test_uploads_have_their_own_bound(tmp_path: Path) -> None:
    async with running(tmp_path, max_body_bytes=100_000) as gw:
        answer = await transcribe(gw, form([("audio", bytes(200_000))]))
        assert problem(answer) == (413, "BODY_TOO_LARGE")
        assert gw.gateway.requests_running == 0


async def test_an_upload_that_grows_too_large_is_one_answer(tmp_path: Path) -> None:
    head = f"POST {STT} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
    head += f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    chunk = f"{1000:x}\r\n".encode() + form([("audio", b"\0" * 10_000)], end=False)[:1000] + b"\r\n"
    async with running(tmp_path, max_body_bytes=2048) as gw:
        head += f"Authorization: {gw.bearer()['Authorization']}\r\n\r\n"
        answer = await gw.raw(head.encode() + chunk * 8 + b"0\r\n\r\n")
        counted = gw.gateway.metrics.render()[1].decode()
        assert gw.gateway.requests_running == 0
    assert answer.startswith(b"HTTP/1.1 413")
    assert [line for line in counted.splitlines() if line.startswith("api_gateway_requests_total{")] == [
        f'api_gateway_requests_total{{endpoint="{STT}",method="POST",status="413"}} 1.0'
    ]


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EMFILE])
async def test_a_disk_without_room_is_told_and_the_next_upload_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    async with running(tmp_path) as gw:
        with monkeypatch.context() as patch:
            rollover = Mock(side_effect=OSError(number, "no room"))
            patch.setattr("tempfile.SpooledTemporaryFile.rollover", rollover)
            refused = await transcribe(gw, form([("audio", bytes(2 * SPOOL_BYTES))]))
        again = await transcribe(gw, form([("audio", audio_file("wav"))]))
    assert (problem(refused), refused.headers["Retry-After"]) == ((503, "UNAVAILABLE"), "1")
    assert again.code == 200


async def test_a_client_that_leaves_in_the_middle_leaves_nothing_behind(tmp_path: Path) -> None:
    body = form([("audio", audio_file("wav"))])
    head = (
        f"POST {STT} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
        f"Content-Type: multipart/form-data; boundary={BOUNDARY}\r\n"
    )
    async with running(tmp_path) as gw:
        _reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        writer.write(f"{head}Authorization: Bearer {gw.token()}\r\n\r\n".encode() + body[:1000])
        while not gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        writer.close()
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        counted = gw.gateway.metrics.render()[1].decode()
    assert f'api_gateway_requests_total{{endpoint="{STT}",method="POST",status="499"}} 1.0' in counted.splitlines()


async def test_a_recogniser_that_fails(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.failing["stt"] = ServiceError("UNAVAILABLE", "away", service="stt")
        assert problem(await transcribe(gw, form([("audio", audio_file("wav"))]))) == (503, "UNAVAILABLE")


# --- text to speech ---


def decoded_ms(data: bytes) -> int:
    decoder = FileDecoder(io.BytesIO(data))
    while decoder.next_piece() is not None:
        pass
    return decoder.duration_ms


@pytest.mark.parametrize(
    ("name", "content_type"),
    [("wav", "audio/wav"), ("mp3", "audio/mpeg"), ("opus", "audio/ogg"), ("flac", "audio/flac")],
)
@pytest.mark.parametrize("rate", [None, 8_000, 48_000])
async def test_speech_in_every_format(tmp_path: Path, name: str, content_type: str, rate: int | None) -> None:
    async with running(tmp_path) as gw:
        asked = {"text": "hello", "format": name} | ({"sample_rate": rate} if rate else {})
        answer = await gw.fetch("POST", TTS, asked)
    assert answer.code == 200
    assert answer.headers["Content-Type"] == content_type
    assert answer.headers["X-Audio-Sample-Rate"] == str(rate or (24_000 if name == "opus" else 22_050))
    assert decoded_ms(answer.body) == pytest.approx(300, abs=250)  # MP3 pads at both ends


async def test_bare_samples(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        own = await gw.fetch("POST", TTS, {"text": "hello", "format": "pcm"})
        half = await gw.fetch("POST", TTS, {"text": "hello", "format": "pcm", "sample_rate": 11_025})
    assert own.headers["Content-Type"] == "audio/pcm; rate=22050; channels=1"
    assert own.body == bytes(range(1, 11)) * (22_050 // 50) * 3
    assert len(half.body) == pytest.approx(len(own.body) / 2, abs=40)


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac", "pcm"])
@pytest.mark.parametrize(("text", "pieces"), [("...", 3), ("  \n ", 3), ("hm", 0)])
async def test_a_text_without_sound_is_refused_alike_in_every_format(
    tmp_path: Path, name: str, text: str, pieces: int
) -> None:
    async with running(tmp_path) as gw:
        gw.script.speech_pieces = pieces  # none: a service that calls silence a success
        refused = await gw.fetch("POST", TTS, {"text": text, "format": name})
    assert problem(refused) == (422, "VALIDATION_ERROR")
    assert document(refused)["errors"][0]["pointer"] == "#/text"


@pytest.mark.parametrize("name", ["wav", "mp3", "opus", "flac"])
async def test_the_first_bytes_leave_before_the_last_are_made(tmp_path: Path, name: str) -> None:
    async with running(tmp_path) as gw:
        gate = gw.script.speech_gate = asyncio.Event()
        gw.script.speech_pieces = 30
        answer = await gw.fetch(
            "POST", TTS, {"text": "hello", "format": name}, streaming_callback=lambda _chunk: gate.set()
        )
        assert answer.code == 200


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"text": ""},
        {"text": "x" * 5001},
        {"text": "x", "speed": 0.2},
        {"text": "x", "speed": 4.1},
        {"text": "x", "format": "amr"},
        {"text": "x", "sample_rate": 7999},
        {"text": "x", "format": "opus", "sample_rate": 44_100},
        {"text": "x", "format": "mp3", "sample_rate": 8_001},
    ],
)
async def test_what_cannot_be_said(tmp_path: Path, wrong: dict[str, Any]) -> None:
    async with running(tmp_path) as gw:
        assert problem(await gw.fetch("POST", TTS, wrong)) == (422, "VALIDATION_ERROR")


async def test_a_voice_that_fails_before_the_first_byte_is_a_problem(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.failing["tts"] = ServiceError("INVALID_ARGUMENT", "no such voice", service="tts")
        assert problem(await gw.fetch("POST", TTS, {"text": "hi", "voice": "x"})) == (400, "INVALID_ARGUMENT")


async def test_a_voice_that_fails_later_does_not_look_whole(tmp_path: Path) -> None:
    body = b'{"text": "hello"}'
    async with running(tmp_path) as gw:
        gw.script.speech_breaks = True
        head = f"POST {TTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gw.token()}\r\nContent-Type: application/json\r\n"
        answer = await gw.raw(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        assert answer.startswith(b"HTTP/1.1 200")
        assert not answer.endswith(b"0\r\n\r\n")  # the end of a chunked body that is whole
        assert gw.gateway.requests_running == 0


async def test_a_listener_who_leaves_stops_the_voice(tmp_path: Path) -> None:
    body = b'{"text": "hello"}'
    async with running(tmp_path) as gw:
        gw.script.speech_gate, gw.script.speech_pieces = asyncio.Event(), 1000
        reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        head = f"POST {TTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gw.token()}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await reader.readuntil(b"RIFF")
        writer.close()
        gw.script.speech_gate.set()  # the next pieces cannot be written
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        assert gw.script.speech_cancelled.is_set()


@pytest.mark.plain_python("replaces a method of a compiled object")
async def test_a_client_that_left_before_the_work_began_is_not_worked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    body = b'{"text": "hello"}'
    async with running(tmp_path) as gw:
        admitting, gone = asyncio.Event(), asyncio.Event()
        verify = gw.gateway.authenticator.verify

        async def slowly(token: str) -> Any:
            admitting.set()
            await gone.wait()
            return await verify(token)

        def leave(handler: SpeakHandler) -> None:
            super(SpeakHandler, handler).on_connection_close()
            gone.set()

        monkeypatch.setattr(SpeakHandler, "on_connection_close", leave)
        monkeypatch.setattr(gw.gateway.authenticator, "verify", slowly)
        _reader, writer = await asyncio.open_connection("127.0.0.1", gw.port)
        head = f"POST {TTS} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {gw.token()}\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
        await admitting.wait()
        writer.transport.abort()
        while gw.gateway.requests_running:
            await asyncio.sleep(0.001)
        assert gw.script.contexts == []


async def test_speech_is_not_for_those_who_read_json(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", TTS, {"text": "hi"}, headers={"Accept": "application/json"})
        assert problem(answer) == (406, "NOT_ACCEPTABLE")
        assert (await gw.fetch("POST", TTS, {"text": "hi"}, headers={"Accept": "audio/*"})).code == 200


async def test_voices(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        everybody = document(await gw.fetch("GET", "/api/v1/voice/voices"))
        germans = document(await gw.fetch("GET", "/api/v1/voice/voices?language=de"))
    assert len(everybody["voices"]) == 2
    assert germans == {
        "voices": [
            {"id": "max", "name": "Max", "language": "de-DE", "gender": "male", "sample_rate": 22_050, "engine": "test"}
        ]
    }


async def test_a_file_is_heard_with_progress_by_who_asks_for_it(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        gw.script.utterances = [FinalTranscript("what time", 0.5, 0, 400), FinalTranscript("is it", 0.8, 500, 900)]
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}", "Accept": "text/event-stream"}
        answer = await gw.fetch("POST", STT, form([("audio", audio_file("wav", 5.0))]), headers=headers)
        broken = await gw.fetch("POST", STT, form([("audio", b"")]), headers=headers)
    assert answer.headers["Content-Type"] == "text/event-stream"
    events = answer.body.decode().split("\n\n")
    assert 'event: progress\ndata: {"message":"heard until 400 ms","data":"what time"}' in events
    assert events[-2].startswith('event: result\ndata: {"text":"what time is it"')
    assert problem(broken) == (422, "UNREADABLE_AUDIO")


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("audio/x-wav", "audio/wav"),
        ("audio/wave", "audio/wav"),
        ("audio/vnd.wave", "audio/wav"),
        ("audio/mpeg", "audio/mpeg"),
        ("audio/ogg;q=0.5, audio/flac", "audio/flac"),
        ("*/*", "audio/wav"),
    ],
)
async def test_accept_chooses_the_format(tmp_path: Path, accept: str, content_type: str) -> None:
    async with running(tmp_path) as gw:
        answer = await gw.fetch("POST", TTS, {"text": "hello"}, headers={"Accept": accept})
    assert (answer.code, answer.headers["Content-Type"]) == (200, content_type)


async def test_a_body_may_begin_with_a_byte_order_mark(tmp_path: Path) -> None:
    async with running(tmp_path) as gw:
        headers = {"Content-Type": "application/json"}
        marked = await gw.fetch("POST", TTS, b'\xef\xbb\xbf{"text": "hello"}', headers=headers)
        other = await gw.fetch("POST", TTS, '{"text": "hello"}'.encode("utf-16"), headers=headers)
    assert marked.code == 200
    assert problem(other) == (400, "MALFORMED_JSON")
