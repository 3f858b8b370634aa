"""What a transcription's `prompt`, `keywords`, `language` and `languages` ask of the recogniser, in every kind of session."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from server.embedded.stt.config import MAX_PHRASE_CHARS, MAX_PHRASES
from streaming.openai.recognition import MAX_KEYWORDS, MAX_PROMPT_WORDS, expected
from streaming.ports import ServiceError
from tests.support.openai_client import FRAME, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World

JAPANESE = "明日の会議は東京駅の近くの会議室で午後三時から始まります。" * 20  # no space: one word of 560 characters
UNKNOWN = ServiceError("INVALID_ARGUMENT", "language 'de' is not known here", service="stt")


@pytest.mark.parametrize(
    ("given", "language", "vocabulary"),
    [
        ({}, "en-US", ()),
        ({"prompt": "Jarvis and Teal", "keywords": ["San José", "Teal"]}, "en-US", ("San José", "Teal", "Jarvis", "and")),
        ({"prompt": JAPANESE, "keywords": ["k" * (MAX_PHRASE_CHARS + 1), "", "  ", " Oslo "]}, "en-US", ("Oslo",)),
        ({"prompt": f"{JAPANESE} Tokyo {JAPANESE}"}, "en-US", ("Tokyo",)),
        ({"language": "EN"}, "en-US", ()),
        ({"language": "en_GB"}, "en-GB", ()),
        ({"languages": ["de", "en_GB", "en"]}, "en-GB", ()),
        ({"languages": ["de", "fr"]}, "de", ()),
        ({"languages": [""]}, "en-US", ()),
        ({"language": "fr", "languages": ["en"]}, "fr", ()),
        ({"language": "", "languages": ["fr"]}, "fr", ()),
    ],
)  # fmt: skip
def test_what_is_expected(given: dict[str, Any], language: str, vocabulary: tuple[str, ...]) -> None:
    wanted = expected(**given)
    assert (wanted.language, wanted.vocabulary) == (language, vocabulary)


def test_the_recogniser_takes_all_that_is_expected() -> None:
    most = expected(prompt="".join(f"p{number} " for number in range(1_000)), keywords=[f"k{n}" for n in range(1_000)])
    assert len(most.vocabulary) == MAX_KEYWORDS + MAX_PROMPT_WORDS <= MAX_PHRASES


async def append(client: Client) -> None:
    client.send("input_audio_buffer.append", audio=FRAME)
    await client.soon()


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
def test_sessions_expect_what_can_be_expected(kind: str) -> None:
    async def test(client: Client, world: World) -> None:
        wishes = {"prompt": f"{JAPANESE} Tokyo", "keywords": ["k" * 1_000, "Oslo"], "languages": ["ja", "en-GB"]}
        client.send("session.update", session={"type": kind, "audio": {"input": {"transcription": wishes}}})
        await client.until("session.updated")
        await append(client)
        assert (world.recognised_with[-1].vocabulary, world.recognised_with[-1].language) == (
            ("Oslo", "Tokyo"),
            "en-GB",
        )

    scripted(test, transcription=kind == "transcription")


@pytest.mark.parametrize("kind", ["realtime", "transcription"])
@pytest.mark.parametrize(
    ("wishes", "code", "param"),
    [
        ({"language": "de"}, "invalid_value", "language"),
        ({"languages": ["de"]}, "invalid_value", "languages"),
        ({"language": "in English"}, "invalid_value", "language"),
        ({"languages": ["en", "?"]}, "invalid_value", "languages[1]"),
        ({"prompt": "a" * 8_193}, "string_above_max_length", "prompt"),
        ({"keywords": ["a"] * 257}, "array_above_max_length", "keywords"),
    ],
)
def test_what_is_plainly_invalid_is_refused_at_once(kind: str, wishes: dict[str, Any], code: str, param: str) -> None:
    async def test(client: Client, world: World) -> None:
        before = (await client.until("session.created"))["session"]
        world.failing["stt"] = UNKNOWN
        session = {"type": kind, "audio": {"input": {"transcription": wishes}}}
        client.send("session.update", event_id="mine", session=session)
        client.send("session.update", session={"type": kind})  # behind it, and answered behind it
        error = await client.error()
        where = f"session.audio.input.transcription.{param}"
        assert (error["code"], error["param"], error["event_id"]) == (code, where, "mine")
        assert (await client.until("session.updated"))["session"] == before

    scripted(test, transcription=kind == "transcription")


@pytest.mark.parametrize("code", ["UNAVAILABLE", "CIRCUIT_OPEN"])
def test_a_language_is_taken_if_the_recogniser_cannot_be_asked(code: str) -> None:
    async def test(client: Client, world: World) -> None:
        world.failing["stt"] = ServiceError(code, "connection refused", service="stt")
        client.update(audio={"input": {"transcription": {"language": "en-GB"}}})
        told = (await client.until("session.updated"))["session"]
        assert told["audio"]["input"]["transcription"]["language"] == "en-GB"

    scripted(test)


def test_a_recogniser_that_does_not_answer_holds_no_session_up() -> None:
    async def test(client: Client, world: World) -> None:
        begun = asyncio.get_running_loop().time()
        world.silent = True
        client.update(audio={"input": {"transcription": {"language": "en-GB"}}})
        client.send("conversation.item.retrieve", item_id="nobody")
        assert (await client.until("session.updated", "error"))["type"] == "session.updated"
        assert asyncio.get_running_loop().time() - begun < 5
        assert world.recognitions[-1].cancelled

    scripted(test)


def test_a_microphone_that_is_refused_is_told_once_and_not_opened_again() -> None:
    async def test(client: Client, world: World) -> None:
        world.failing["stt"] = ServiceError("INVALID_ARGUMENT", "a phrase is too long", service="stt")
        for _ in range(5):
            await append(client)
        error = await client.error()
        assert (error["type"], error["code"]) == ("invalid_request_error", "invalid_value")
        assert error["param"] == "session.audio.input.transcription"
        assert len(client.of("error")) == len(world.recognitions) == 1
        world.failing.clear()
        client.update(audio={"input": {"transcription": {"keywords": ["Oslo"]}}})
        await append(client)
        client.speak("hello")
        assert (await client.until("conversation.item.input_audio_transcription.completed"))["transcript"] == "hello"

    scripted(test)


def test_an_outage_of_the_recogniser_is_told_once_until_it_is_over() -> None:
    async def test(client: Client, world: World) -> None:
        async def talk(seconds: int) -> None:
            for _ in range(seconds * 10):
                client.send("input_audio_buffer.append", audio=FRAME)
                await asyncio.sleep(0.1)

        down = ServiceError("UNAVAILABLE", "connection refused", service="stt")
        for outages in (1, 2):
            world.failing["stt"], world.takes = down, False
            if world.recognitions:
                client.hear(down)
            await talk(30)  # a lane tries for five seconds before it gives up
            assert [(event["error"]["type"], event["error"]["code"]) for event in client.of("error")] == [
                ("server_error", "unavailable")
            ] * outages
            world.takes = True
            world.failing.clear()
            await talk(6)
            client.speak("hello")
            await client.until("conversation.item.input_audio_transcription.completed")

    scripted(test)
