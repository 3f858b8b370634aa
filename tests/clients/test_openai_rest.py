"""PyPI `openai`, unmodified, on the REST endpoints of a running gateway."""

from __future__ import annotations

import io
import json
import time
from typing import TYPE_CHECKING, Any, Literal, get_args, get_origin

import av
import openai
import pytest
from openai import OpenAI
from openai.types import AudioModel
from openai.types.audio import SpeechModel
from openai.types.live import SessionConfig
from openai.types.realtime import AudioTranscription, RealtimeSessionCreateRequest

from tests.support.gateway import AUDIO

if TYPE_CHECKING:
    from pydantic import BaseModel

    from tests.support.gateway import GatewayProcess

TIME = AUDIO / "flite-slt-what-time-is-it.wav"


@pytest.fixture
def client(gateway: GatewayProcess) -> OpenAI:
    return OpenAI(api_key=gateway.token, base_url=f"{gateway.base}/v1", max_retries=0)


def transcribe(client: OpenAI, **options: Any) -> Any:
    with TIME.open("rb") as file:
        return client.audio.transcriptions.create(file=file, model="whisper-1", **options)


def test_a_file_in_five_formats(client: OpenAI) -> None:
    assert "time" in transcribe(client).text.lower()
    assert "time" in transcribe(client, response_format="text").lower()
    assert transcribe(client, response_format="srt").startswith("1\n00:00:0")
    vtt = transcribe(client, response_format="vtt")
    assert vtt.startswith("WEBVTT\n\n00:00:0")
    assert " --> " in vtt
    verbose = transcribe(
        client, response_format="verbose_json", timestamp_granularities=["word", "segment"], language="en"
    )
    assert "time" in verbose.text.lower()
    assert verbose.duration > 0
    assert verbose.words[0].end > verbose.words[0].start
    assert verbose.segments[0].text
    type(verbose).model_validate(verbose.model_dump(), strict=True)


def test_a_transcript_as_it_is_heard(client: OpenAI) -> None:
    events = list(transcribe(client, stream=True))
    assert events[-1].type == "transcript.text.done"
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    assert deltas == events[-1].text
    assert "time" in deltas.lower()


@pytest.mark.parametrize("name", ["mp3", "opus", "aac", "flac", "wav"])
def test_speech_in_every_format(client: OpenAI, name: Any) -> None:
    answer = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.", response_format=name)
    with av.open(io.BytesIO(answer.content), "r") as file:
        samples = sum(frame.samples for frame in file.decode(file.streams.audio[0]))
        assert samples > file.streams.audio[0].rate * 0.3


def test_bare_samples_and_events(client: OpenAI) -> None:
    pcm = client.audio.speech.create(model="tts-1", voice="alloy", input="Good morning.", response_format="pcm")
    assert len(pcm.content) > 24_000 * 2 * 0.3
    assert pcm.response.headers["content-type"] == "audio/pcm"
    assert pcm.response.headers["x-request-id"]
    assert int(pcm.response.headers["x-ratelimit-limit-requests"]) > 0
    with client.audio.speech.with_streaming_response.create(
        model="tts-1", voice="alloy", input="Good morning.", stream_format="sse"
    ) as answer:
        lines = [line for line in answer.iter_lines() if line]
    assert lines[0].startswith('data: {"type":"speech.audio.delta","audio":"')
    assert lines[-1].startswith('data: {"type":"speech.audio.done"')


def test_models_and_voices(client: OpenAI, gateway: GatewayProcess) -> None:
    names = [model.id for model in client.models.list()]
    assert {"whisper-1", "tts-1", "gpt-realtime"} <= set(names)
    assert client.models.retrieve("tts-1").object == "model"
    voices = client.get("/audio/voices", cast_to=object)
    assert {"alloy"} <= {voice["id"] for voice in voices["data"]}  # type: ignore[index] # JSON


def test_every_model_that_the_client_names_is_listed(client: OpenAI) -> None:
    names: set[str] = set()
    for union in (AudioModel, SpeechModel, _models_of(RealtimeSessionCreateRequest), _models_of(AudioTranscription)):
        names |= _literals(union)
    names |= _literals(_models_of(SessionConfig))
    assert names - {model.id for model in client.models.list()} == {"gpt-4o-transcribe-diarize"}


def _models_of(kind: type[BaseModel]) -> Any:
    return kind.model_fields["model"].annotation


def _literals(annotation: Any) -> set[str]:
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    return {name for part in get_args(annotation) for name in _literals(part)}


def test_errors_are_the_clients_own_classes(client: OpenAI, gateway: GatewayProcess) -> None:
    with pytest.raises(openai.NotFoundError) as unknown:
        client.models.retrieve("nobody")
    assert (unknown.value.type, unknown.value.code) == ("invalid_request_error", "model_not_found")
    assert unknown.value.param == "model"
    with pytest.raises(openai.BadRequestError) as voice:
        client.audio.speech.create(model="tts-1", voice="nobody", input="hello")
    assert voice.value.param == "voice"
    assert "alloy" in voice.value.message
    with pytest.raises(openai.BadRequestError) as speed:
        client.audio.speech.create(model="tts-1", voice="alloy", input="hello", speed=9)
    assert speed.value.param == "speed"
    with pytest.raises(openai.BadRequestError):
        client.audio.transcriptions.create(file=("x.wav", b"no audio at all"), model="whisper-1")
    with pytest.raises(openai.AuthenticationError) as key:
        OpenAI(api_key="nobody", base_url=f"{gateway.base}/v1", max_retries=0).models.list()
    assert key.value.code == "invalid_api_key"
    with pytest.raises(openai.NotFoundError) as nowhere:
        client.get("/nothing", cast_to=object)
    assert (nowhere.value.code, nowhere.value.message.count("Invalid URL (GET /v1/nothing)")) == ("unknown_url", 1)


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"language": "de"}, "invalid_value", "language"),
        ({"languages": ["de", "fr"]}, "invalid_value", "languages"),
        ({"language": "in English"}, "invalid_value", "language"),
        ({"prompt": "a" * 8_193}, "invalid_value", "prompt"),
        ({"keywords": ["a"] * 257}, "invalid_value", "keywords"),
        ({"response_format": "xml"}, "invalid_value", "response_format"),
        ({"temperature": 2}, "invalid_value", "temperature"),
        ({"extra_body": {"temperature": "warm"}}, "invalid_type", "temperature"),
        ({"extra_body": {"colour": "red"}}, "unknown_parameter", "colour"),
        ({"timestamp_granularities": ["line"]}, "invalid_value", "timestamp_granularities[0]"),
        ({"include": ["everything"]}, "invalid_value", "include[0]"),
    ],
)
def test_a_transcription_that_is_refused(client: OpenAI, options: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        transcribe(client, **options)
    assert (refused.value.code, refused.value.param) == (code, param)


@pytest.mark.parametrize(
    ("options", "code", "param"),
    [
        ({"input": ""}, "invalid_value", "input"),
        ({"input": "..."}, "invalid_value", "input"),
        ({"input": 5}, "invalid_type", "input"),
        ({"input": "a " * 2_049}, "invalid_value", "input"),
        ({"voice": 5}, "invalid_type", "voice"),
        ({"voice": {}}, "invalid_type", "voice"),
        ({"response_format": "xml"}, "invalid_value", "response_format"),
        ({"extra_body": {"colour": "red"}}, "unknown_parameter", "colour"),
    ],
)
def test_speech_that_is_refused(client: OpenAI, options: dict[str, Any], code: str, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.audio.speech.create(**{"model": "tts-1", "voice": "alloy", "input": "hello", **options})
    assert (refused.value.code, refused.value.param) == (code, param)


def test_every_option_of_a_transcription(client: OpenAI) -> None:
    prompt = "words about the time of day " * 60  # longer than a short field
    answer = transcribe(
        client,
        languages=["de", "en"],
        prompt=prompt,
        keywords=[f"word{index}" for index in range(40)],
        temperature=0.2,
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 300},
    )
    assert "time" in answer.text.lower()
    assert [one.token for one in answer.logprobs] == answer.text.split()
    assert all(one.logprob <= 0 and bytes(map(int, one.bytes)).decode() == one.token for one in answer.logprobs)
    assert transcribe(client, response_format="verbose_json", language="en").language == "english"
    *deltas, done = list(transcribe(client, stream=True, include=["logprobs"]))
    assert [one.token for one in done.logprobs] == done.text.split()
    assert [one.token for delta in deltas for one in delta.logprobs] == done.text.split()
    assert done.usage.output_tokens == len(done.text.split())


@pytest.mark.parametrize(
    "options",
    [
        {"prompt": "明日の会議は東京駅の近くの会議室で始まります。" * 300},  # without a space, and 20 KiB
        {"keywords": ["k" * 1_000, "time", ""], "languages": ["ja", "en_GB"]},
        {"keywords": [f"word{index}" for index in range(256)]},
    ],
)
def test_expected_words_that_cannot_help_do_no_harm(client: OpenAI, options: dict[str, Any]) -> None:
    assert "time" in transcribe(client, **options).text.lower()


def test_headers_of_the_api(client: OpenAI) -> None:
    for answer in (
        client.models.with_raw_response.list(),
        client.audio.speech.with_raw_response.create(model="tts-1", voice="alloy", input="hello"),
    ):
        assert answer.headers["openai-version"] == "2020-10-01"
        assert int(answer.headers["openai-processing-ms"]) >= 0
        assert answer.headers["x-request-id"]
    assert {"gpt-realtime-2.1", "gpt-transcribe", "gpt-live-1"} <= {model.id for model in client.models.list()}


def test_a_client_secret_opens_one_session(client: OpenAI, gateway: GatewayProcess) -> None:
    secret = client.realtime.client_secrets.create(
        expires_after={"anchor": "created_at", "seconds": 60},
        session={"type": "realtime", "instructions": "be brief", "output_modalities": ["text"]},
    )
    assert secret.value.startswith("ek_")
    assert 50 < secret.expires_at - time.time() < 61
    type(secret).model_validate(secret.model_dump(), strict=True)
    guest = OpenAI(
        api_key=secret.value, base_url=f"{gateway.base}/v1", websocket_base_url=f"{gateway.ws}/v1", max_retries=0
    )
    with guest.realtime.connect(model="gpt-realtime", max_retries=0) as connection:
        created: Any = connection.recv()
        assert created.session.instructions == "be brief"
    with pytest.raises(Exception, match="401"):
        guest.realtime.connect(model="gpt-realtime", max_retries=0).enter()
    with pytest.raises(openai.AuthenticationError):
        guest.models.list()
    with pytest.raises(openai.BadRequestError):
        client.realtime.client_secrets.create(expires_after={"anchor": "created_at", "seconds": 5})


async def test_a_request_without_a_body_has_no_fields(gateway: GatewayProcess) -> None:
    from tornado.httpclient import AsyncHTTPClient, HTTPRequest

    async def post(path: str) -> tuple[int, dict[str, Any]]:
        request = HTTPRequest(
            f"{gateway.base}/v1/{path}",
            method="POST",
            headers={"Authorization": f"Bearer {gateway.token}"},
            allow_nonstandard_methods=True,
        )
        answer = await AsyncHTTPClient().fetch(request, raise_error=False)
        return answer.code, json.loads(answer.body)

    status, secret = await post("realtime/client_secrets")
    assert (status, secret["session"]["type"]) == (200, "realtime")
    status, refusal = await post("audio/speech")
    assert (status, refusal["error"]["param"]) == (400, "model")


@pytest.mark.parametrize(
    ("session", "code", "param"),
    [
        ({}, "missing_required_parameter", "session.type"),
        ({"type": "video"}, "invalid_value", "session.type"),
        ({"type": "realtime", "modalities": ["text"]}, "unknown_parameter", "session.modalities"),
        ({"type": "realtime", "instructions": 5}, "invalid_type", "session.instructions"),
        ({"type": "transcription", "tools": []}, "unknown_parameter", "session.tools"),
        (
            {"type": "transcription", "audio": {"input": {"transcription": {"language": "de"}}}},
            "invalid_value",
            "session.audio.input.transcription.language",
        ),
    ],
)
def test_a_client_secret_that_is_refused(client: OpenAI, session: Any, code: str, param: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        client.realtime.client_secrets.create(session=session)
    assert (refused.value.code, refused.value.param) == (code, param)


def test_a_client_secret_resumes_no_session_of_its_user(client: OpenAI, gateway: GatewayProcess) -> None:
    owner = OpenAI(api_key=gateway.token, websocket_base_url=f"{gateway.ws}/v1", max_retries=0)
    connection = owner.realtime.connect(model="gpt-realtime", max_retries=0).enter()
    mine: Any = connection.recv()
    raw: Any = connection
    raw._connection.socket.close()  # cut off: the session waits
    secret = client.realtime.client_secrets.create(session={"type": "realtime"})
    guest = OpenAI(api_key=secret.value, websocket_base_url=f"{gateway.ws}/v1", max_retries=0)
    query = {"resume": mine.session.id, "last_event_id": mine.event_id}
    with guest.realtime.connect(model="gpt-realtime", extra_query=query, max_retries=0) as another:
        another.session.update(session={"type": "realtime", "instructions": "be brief"})
        first: Any = another.recv()
        assert first.type == "session.created"
        assert first.session.id != mine.session.id
