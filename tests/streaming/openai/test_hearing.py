"""What is heard: the client's wishes for the recogniser, and what is told of its words."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import pytest

from streaming.ports import Endpointing, FinalTranscript, SpeechStarted, SpeechStopped, Word
from tests.support.openai_client import FRAME, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World


def test_confidence_of_words_as_log_probabilities() -> None:
    async def test(client: Client, _world: World) -> None:
        words = (Word("so", 0, 100, 0.5), Word("what", 100, 200, 0.0), Word("else", 200, 300))
        for include in (None, ["item.input_audio_transcription.logprobs"]):
            client.update(include=include)
            client.send("input_audio_buffer.append", audio=FRAME)
            client.hear(SpeechStarted(0), SpeechStopped(300), FinalTranscript("so what else", 0.9, 0, 300, words))
            told = await client.until("conversation.item.input_audio_transcription.completed")
            assert client.of("conversation.item.input_audio_transcription.delta")[-1].get("logprobs") == told.get(
                "logprobs"
            )
            found = [(one["token"], bytes(one["bytes"]), one["logprob"]) for one in told.get("logprobs") or ()]
            assert found == ([("so", b"so", -0.6931), ("what", b"what", -13.8155)] if include else [])

    scripted(test)


@pytest.mark.parametrize(
    ("detection", "tuning"),
    [
        ({"type": "server_vad"}, Endpointing()),
        ({"type": "semantic_vad"}, Endpointing()),
        (None, Endpointing()),
        ({"type": "server_vad", "threshold": 0.8}, Endpointing(threshold=0.8)),
        ({"type": "server_vad", "threshold": 0}, Endpointing(threshold=0.01)),
        ({"type": "server_vad", "silence_duration_ms": 200}, Endpointing(patience=0.4)),
        ({"type": "server_vad", "silence_duration_ms": 0}, Endpointing(patience=0.01)),
        ({"type": "server_vad", "silence_duration_ms": 1200}, Endpointing(least_silence_ms=1200)),
        ({"type": "semantic_vad", "eagerness": "low"}, Endpointing(patience=2.5)),
        ({"type": "semantic_vad", "eagerness": "high"}, Endpointing(patience=0.5)),
    ],
)
def test_turn_detection_steers_the_recogniser(detection: dict[str, Any] | None, tuning: Endpointing) -> None:
    async def test(client: Client, world: World) -> None:
        client.update(audio={"input": {"turn_detection": detection}})
        client.send("input_audio_buffer.append", audio=FRAME)
        await client.until("session.updated")
        assert world.recognised_with[-1].tuning == tuning

    scripted(test)


def test_an_utterance_begins_before_its_speech_but_not_in_the_one_before() -> None:
    async def test(client: Client, _world: World) -> None:
        client.update(audio={"input": {"turn_detection": {"type": "server_vad", "prefix_padding_ms": 400}}})
        client.send("input_audio_buffer.append", audio=FRAME)
        for start_ms, end_ms, told_ms in ((1_000, 2_000, 600), (2_100, 3_000, 2_000), (3_900, 4_000, 3_500)):
            client.hear(SpeechStarted(start_ms), SpeechStopped(end_ms), FinalTranscript("so", 0.9, start_ms, end_ms))
            assert (await client.until("input_audio_buffer.speech_started"))["audio_start_ms"] == told_ms

    scripted(test)


def test_speech_that_is_recognised_after_its_commit_begins_no_second_item() -> None:
    """A script that sends faster than real time, with turn detection on."""

    async def test(client: Client, _world: World) -> None:
        for at_ms, words in ((50, "what time is it"), (250, "hello again")):
            for _ in range(2):
                client.send("input_audio_buffer.append", audio=FRAME)
            await client.soon()
            client.send("input_audio_buffer.commit")
            await client.soon()
            stopped = SpeechStopped(at_ms + 100)
            client.hear(SpeechStarted(at_ms), stopped, FinalTranscript(words, 0.9, at_ms, at_ms + 100))
            await client.soon()
        committed = [event["item_id"] for event in client.of("input_audio_buffer.committed")]
        told = client.of("conversation.item.input_audio_transcription.completed")
        assert [(event["item_id"], event["transcript"]) for event in told] == [
            (committed[0], "what time is it"),
            (committed[1], "hello again"),
        ]
        client.send("response.create")
        await client.until("response.done")

    scripted(test)


def test_usage_is_the_audio_of_the_item_not_only_its_speech() -> None:
    async def test(client: Client, _world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        client.hear(SpeechStarted(600), SpeechStopped(1_000), FinalTranscript("hello", 0.9, 700, 900))
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert told["usage"] == {"type": "duration", "seconds": 0.7}  # with 300 ms before the speech
        client.update(audio={"input": {"turn_detection": None}})
        for _ in range(3):
            client.send("input_audio_buffer.append", audio=FRAME)
        client.send("input_audio_buffer.commit")
        await client.soon()
        client.hear(FinalTranscript("hello", 0.9, 100, 150))
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert told["usage"] == {"type": "duration", "seconds": 0.3}

    scripted(test)


@pytest.mark.parametrize(("heard", "transcript"), [("one two three", ""), ("good morning", "good morning")])
def test_the_reply_that_comes_back_is_not_answered(heard: str, transcript: str) -> None:
    """A client without echo cancellation: the microphone hears the loudspeaker."""

    async def test(client: Client, _world: World) -> None:
        client.send("input_audio_buffer.append", audio=FRAME)
        client.speak("what is there")
        await client.until("conversation.item.input_audio_transcription.completed")
        await client.until("response.output_audio.delta")
        await asyncio.sleep(0.5)
        client.speak(heard)
        told = await client.until("conversation.item.input_audio_transcription.completed")
        assert told["transcript"] == transcript
        await asyncio.sleep(20)
        assert len(client.of("response.created")) == (2 if transcript else 1)

    scripted(test)


def test_a_session_stays_at_a_drain_until_who_speaks_is_answered() -> None:
    async def test(client: Client, _world: World) -> None:
        live = client.live
        assert live is not None
        client.send("input_audio_buffer.append", audio=FRAME)
        await client.soon()
        assert not live.must_finish
        for event in (SpeechStarted(0), SpeechStopped(300)):
            client.hear(event)
            await client.soon()
            assert live.must_finish
        client.hear(FinalTranscript("hello", 0.9, 0, 300))
        await client.until("response.done")
        await client.soon()
        assert not live.must_finish

    scripted(test)
