"""Audio read without JSON is what the parser of all events makes of it, or is left to that parser."""

from __future__ import annotations

import json
from base64 import b64encode
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.openai.appends import appended
from streaming.openai.client_events import read
from streaming.openai.mistakes import MistakeError
from streaming.openai.pace import SOUND_CHARS
from tests.support.openai_client import FRAME, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World

KIND = "input_audio_buffer.append"
LONG_ENOUGH = "A" * SOUND_CHARS  # to count as sound and as no event
SPACED, TIGHT = (", ", ": "), (",", ":")


@pytest.mark.parametrize("separators", [SPACED, TIGHT])
@pytest.mark.parametrize(
    "names", ["type audio", "audio type", "event_id type audio", "type audio event_id", "audio event_id type"]
)
def test_the_forms_that_clients_write(names: str, separators: tuple[str, str]) -> None:
    values = {"type": KIND, "audio": FRAME, "event_id": "event_1"}
    text = json.dumps({name: values[name] for name in names.split()}, separators=separators)
    assert appended(text) == (bytes(4_800), "event_1" if "event_id" in names else "")


PIECES = st.lists(
    st.sampled_from(
        [
            f'"type": "{KIND}"',
            f'"type":"{KIND}"',
            '"type": "input_audio_buffer.commit"',
            '"event_id": "a"',
            '"event_id":"a"',
            '"event_id": "b\\u0041"',
            '"event_id": ""',
            f'"audio": "{LONG_ENOUGH}"',
            f'"audio":"{LONG_ENOUGH}"',
            f'"audio":"{LONG_ENOUGH}AA=="',
            f'"audio": "{LONG_ENOUGH}AA="',
            f'"audio": "{LONG_ENOUGH}A\\/AA"',
            f'"audio": "{LONG_ENOUGH}AA\u00e4A"',
            '"audio": ""',
            '"audio": null',
            '"more": 1',
        ]
    ),
    max_size=5,
)


@given(PIECES, st.sampled_from([", ", ","]), st.sampled_from(["{%s}", "{%s} ", "{%s", "[%s]", '{%s}"}']))
def test_it_never_reads_more_than_the_parser(pieces: list[str], between: str, frame: str) -> None:
    text = frame.replace("%s", between.join(pieces))
    found = appended(text)
    if found is None:
        return
    event = read(text)
    event.check_fields()
    assert (event.kind, event.audio(), event.event_id) == (KIND, *found)


@pytest.mark.parametrize("audio", ["AAA", "A*==", "AA==AA", "AAAA\n"])
def test_what_is_not_base64_is_left_to_the_parser(audio: str) -> None:
    text = json.dumps({"type": KIND, "audio": LONG_ENOUGH + audio})
    assert appended(text) is None
    with pytest.raises(MistakeError):
        read(text).audio()


def test_mistakes_on_the_short_way_have_their_event_id() -> None:
    async def test(client: Client, _world: World) -> None:
        client.send(KIND, audio=FRAME)
        client.send(KIND, audio=b64encode(bytes(201)).decode(), event_id="mine")
        error = await client.error()
        assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", "audio", "mine")
        client.send("input_audio_buffer.commit")
        await client.until("input_audio_buffer.committed")

    scripted(test)


def test_only_audio_is_taken_on_the_short_way_and_only_in_its_turn() -> None:
    async def test(client: Client, _world: World) -> None:
        live = client.live
        assert live is not None
        audio = json.dumps({"type": KIND, "audio": FRAME})
        assert live.hear(audio)
        assert (live.traffic.texts_received, live.traffic.bytes_received) == (1, len(audio))
        others: list[str | bytes] = [
            '{"type": "input_audio_buffer.commit"}',
            audio.encode(),
            json.dumps({"type": KIND, "audio": LONG_ENOUGH + "A"}),
        ]
        assert not any(live.hear(other) for other in others)
        long = json.dumps({"type": KIND, "audio": b64encode(bytes(200_000)).decode()})
        assert not live.hear(long)
        live.receive(long)
        assert not live.hear(audio)  # it is behind the long one
        tap: Any = SimpleNamespace(received=lambda *_: None, sent=lambda *_: None, ended=lambda: None)
        live.taps.append(tap)
        assert not live.hear(audio)  # `receive` shows it to the tap
        assert live.microphones.fed_ms == 100

    scripted(test)


def test_a_changed_format_is_heard_as_such() -> None:
    async def test(client: Client, world: World) -> None:
        client.send(KIND, audio=FRAME)
        await client.soon()
        client.update(audio={"input": {"format": {"type": "audio/pcmu"}}})
        client.send(KIND, audio=b64encode(b"\xff" * 800).decode())  # 100 ms
        client.send(KIND, audio=b64encode(b"\xff" * 801).decode())
        await client.soon()
        assert len(world.recognitions) == 2
        assert abs(len(world.recognitions[1].heard) - 6_400) < 320  # 200 ms at 16 kHz, but for the resampler's delay
        assert not client.of("error")

    scripted(test)
