"""Long sound is taken out of an event's text in short steps, and the rest is what it was."""

from __future__ import annotations

import asyncio
import json
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.long_text import LongText
from streaming.openai import long_sound
from streaming.openai.client_events import decoded, read
from streaming.openai.long_sound import LEAST_CHARS, MAX_REST_CHARS, without_sound
from streaming.openai.mistakes import MistakeError
from streaming.ports import FinalTranscript
from tests.support.openai_client import session
from tests.support.world import World

if TYPE_CHECKING:
    from collections.abc import Generator

SOUND = bytes(range(256)) * (LEAST_CHARS // 256)
LONG_SOUND = bytes(15 * 1024 * 1024)
BITE_S = 0.02  # of CPU time; in one go it takes 45 ms on a quick machine


def result(steps: Generator[None, None, Any]) -> Any:
    while True:
        try:
            next(steps)
        except StopIteration as over:
            return over.value


def restored(text: str) -> Any:
    """The value of the text with the sound in it again, as plain base64."""
    rest, sounds = result(without_sound(text))
    for word, sound in sounds.items():
        assert sound is not None
        assert rest.count(word) == 1
        rest = rest.replace(word, b64encode(sound).decode())
    return json.loads(rest)


VALUES = st.sampled_from([b64encode(SOUND + bytes(extra)).decode() for extra in range(3)] + ["AAAA", "", '"audio": "'])
OBJECTS = st.recursive(
    st.dictionaries(st.sampled_from(["audio", "text", 'an "audio', "\\"]), VALUES, max_size=3),
    lambda inner: st.dictionaries(st.sampled_from(["item", "audio"]), inner | st.lists(inner, max_size=3), max_size=3),
    max_leaves=6,
)


@given(OBJECTS, st.sampled_from([None, 1]), st.booleans())
def test_the_rest_is_what_it_was(value: Any, indent: int | None, slashes: bool) -> None:
    text = json.dumps(value, indent=indent)
    if slashes:
        text = text.replace("/", "\\/")
    assert restored(text) == value


@pytest.mark.parametrize("cut", [1, 3, 4, 64 * 1024 - 1, 64 * 1024])
def test_pieces_may_end_anywhere(monkeypatch: pytest.MonkeyPatch, cut: int) -> None:
    monkeypatch.setattr(long_sound, "DECODED_CHARS", cut)
    monkeypatch.setattr(long_sound, "SEARCHED_CHARS", cut + len('"audio"'))
    text = json.dumps({"a": "audio", "audio": b64encode(b"\xff" * LEAST_CHARS).decode(), "b": 1}).replace("/", "\\/")
    rest, sounds = result(without_sound(text))
    assert list(sounds.values()) == [b"\xff" * LEAST_CHARS]
    assert len(rest) < 100


@pytest.mark.parametrize(
    "sound", ["!" * LEAST_CHARS, "A" * LEAST_CHARS + "A", "AA==" * LEAST_CHARS, "\u00e4" * LEAST_CHARS]
)
def test_what_is_no_base64_is_refused_where_it_is_needed(sound: str) -> None:
    rest, sounds = result(
        without_sound(json.dumps({"type": "input_audio_buffer.append", "audio": sound}, ensure_ascii=False))
    )
    event = read(rest, sounds=sounds)
    with pytest.raises(MistakeError) as refused:
        event.audio()
    assert refused.value.param == "audio"
    assert list(sounds.values()) == [None]


def test_an_escaped_quote_is_no_end() -> None:
    with pytest.raises(MistakeError):
        result(without_sound(json.dumps({"audio": "A" * LEAST_CHARS + '"'})))


@pytest.mark.parametrize("text", ['{"a":"x"audio": "%s"}', '{"audio":"%s', '["audio" "%s"]', '{"audio": %s}'])
def test_no_text_becomes_valid_by_it(text: str) -> None:
    rest, _ = result(without_sound(text % ("A" * LEAST_CHARS)))
    with pytest.raises(ValueError, match="line 1"):
        json.loads(rest)


def test_short_sound_stays() -> None:
    text = json.dumps({"audio": "A" * (LEAST_CHARS - 4)})
    assert result(without_sound(text)) == (text, {})


def test_a_word_of_another_event_stands_for_nothing() -> None:
    with pytest.raises(MistakeError):
        decoded("sound 0123456789abcdef", "audio", {})


def test_others_have_turns_among_thousands_of_names() -> None:
    assert sum(1 for _ in without_sound('"audio",' * 20_000)) > 100


@pytest.mark.parametrize("kind", ["conversation.item.create", "response.create", "input_audio_buffer.append"])
def test_the_longest_sound_leaves_others_the_processor(kind: str) -> None:
    sound = b64encode(LONG_SOUND).decode()
    item: dict[str, Any] = {"type": "message", "role": "user", "content": [{"type": "input_audio", "audio": sound}]}
    every: dict[str, dict[str, Any]] = {
        "conversation.item.create": {"item": item},
        "response.create": {"response": {"input": [item], "conversation": "none", "output_modalities": ["text"]}},
        "input_audio_buffer.append": {"event_id": "of mine 😀", "audio": sound},
    }
    text = json.dumps({"type": kind, **every[kind]}, ensure_ascii=False)

    async def run() -> None:
        world = World()
        async with session(world) as client:
            assert client.live is not None
            short = {"type": "input_audio", "audio": "A" * 6_400}  # what the first sound costs once
            client.send("conversation.item.create", item={**item, "content": [short]})
            while not world.recognitions or not world.recognitions[-1].commits:
                await asyncio.sleep(0)
            world.recognitions[-1].push(FinalTranscript("hello", 0.9, 0, 100))
            client.live.receive(LongText(text, "utf-8"))
            longest_s, before_s = 0.0, time.process_time()
            while sum(len(each.heard) for each in world.recognitions) < 100_000:
                await asyncio.sleep(0)
                now_s = time.process_time()
                longest_s, before_s = max(longest_s, now_s - before_s), now_s
            assert longest_s < BITE_S
            await client.live.close()

    asyncio.run(run())


def test_other_events_take_no_long_sound_and_none_is_longer_beside_it() -> None:
    sound = b64encode(SOUND).decode()

    async def run() -> None:
        async with session(World()) as client:
            assert client.live is not None
            client.send("session.update", session={"type": "realtime", "audio": sound}, x="x" * 128 * 1024)
            client.send("session.update", session={"type": "realtime", "instructions": "x" * MAX_REST_CHARS})
            found = [(await client.error())["code"] for _ in range(2)]
            assert found == ["invalid_value", "string_above_max_length"]
            await client.live.close()

    asyncio.run(run())


def test_long_sound_stands_in_the_content_of_items_only() -> None:
    """Elsewhere its word would be taken for what the client wrote."""
    sound = b64encode(SOUND).decode()
    tool = {"type": "function", "name": "say", "description": "x" * 128 * 1024, "parameters": {"audio": sound}}

    async def run() -> None:
        async with session(World()) as client:
            assert client.live is not None
            client.send("response.create", response={"metadata": {"audio": sound}, "instructions": "x" * 128 * 1024})
            client.send("response.create", response={"tools": [tool]})
            assert [(await client.error())["param"] for _ in range(2)] == ["audio", "audio"]
            await client.live.close()

    asyncio.run(run())
