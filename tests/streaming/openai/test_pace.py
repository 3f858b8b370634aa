"""Clients of OpenAI's dialect that send too much."""

from __future__ import annotations

import json
from base64 import b64encode
from typing import TYPE_CHECKING

import pytest

from streaming.openai.mistakes import MistakeError
from streaming.openai.pace import (
    BURST,
    DEAREST_REFUSAL,
    PRICED_CHARS,
    PRICED_COMMAS,
    REFUSALS,
    SOUND_CHARS,
    WORK_PRICE,
    EventPace,
    FloodError,
)
from tests.support.openai_client import FRAME, Client, scripted

if TYPE_CHECKING:
    from tests.support.world import World

APPEND = "input_audio_buffer.append"


def taken(pace: EventPace, kind: str, n_chars: int = 0, n_commas: int = 0, at: float = 0.0) -> int:
    """How many of these events are taken before one is refused."""
    for number in range(10_000):
        try:
            pace.count(kind, n_chars, n_commas, at)
        except MistakeError:
            return number
    raise AssertionError("none was refused")


@pytest.mark.parametrize(
    ("kind", "n_chars", "n_commas", "price"),
    [
        ("conversation.item.create", 100, 3, 1.0),
        ("session.update", 100, 3, WORK_PRICE),
        ("response.create", 100, 3, WORK_PRICE),
        ("conversation.item.create", 3 * PRICED_CHARS, 0, 4.0),
        ("conversation.item.create", 100, 3 * PRICED_COMMAS, 4.0),
        (APPEND, SOUND_CHARS - 1, 1, 1.0),
        (APPEND, SOUND_CHARS, PRICED_COMMAS, 2.0),
        ("", 100, 3, 1.0),
    ],
)
def test_events_count_by_their_work_and_length(kind: str, n_chars: int, n_commas: int, price: float) -> None:
    assert taken(EventPace(APPEND, 0.0), kind, n_chars, n_commas) == int(BURST / price)


def test_sound_counts_for_nothing() -> None:
    pace = EventPace(APPEND, 0.0)
    taken(pace, "session.update")
    for _ in range(15_000):  # five minutes, sent as fast as a script can
        pace.count(APPEND, SOUND_CHARS, 2, 0.0)
    with pytest.raises(MistakeError):
        pace.count("session.update", 0, 0, 0.0)


def test_the_longest_event_is_taken_from_a_rested_client() -> None:
    assert taken(EventPace(APPEND, 0.0), "session.update", 1 << 30) == 1


def test_a_client_that_goes_on_is_a_flood() -> None:
    pace = EventPace(APPEND, 0.0)
    taken(pace, "session.update")
    for _ in range(int(REFUSALS) - 1):
        with pytest.raises(MistakeError) as refused:
            pace.count("session.update", 0, 0, 0.0)
        assert not isinstance(refused.value, FloodError)
    with pytest.raises(FloodError):
        pace.count("session.update", 0, 0, 0.0)
    pace.count("session.update", 0, 0, 1.0)  # a second later the rate allows more


def test_patience_with_long_events_ends_sooner() -> None:
    pace = EventPace(APPEND, 0.0)
    taken(pace, "session.update", 1 << 30)
    for _ in range(int(REFUSALS / DEAREST_REFUSAL) - 1):
        with pytest.raises(MistakeError) as refused:
            pace.count("session.update", 1 << 30, 0, 0.0)
        assert not isinstance(refused.value, FloodError)
    with pytest.raises(FloodError):
        pace.count("session.update", 1 << 30, 0, 0.0)


APPENDED = {"type": APPEND, "event_id": "e"}


@pytest.mark.parametrize(
    "event",
    [
        {**APPENDED, "audio": "!" * 200},
        {**APPENDED, "audio": "AAAA" * 50, "more": 1},
        {**APPENDED, "audio": b64encode(bytes(201)).decode()},
        {**APPENDED, "audio": FRAME, "more": [1] * 10_000},
    ],
    ids=["no base64", "unknown fields", "half samples", "many values"],
)
def test_sound_that_is_refused_counts(event: dict[str, object]) -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        text = json.dumps(event)
        for _ in range(2_000):
            if client.ended is None:
                client.live.receive(text, arrived_at=0.0)
                await client.soon()
        assert client.ended == 1008

    scripted(test)


@pytest.mark.parametrize(
    "event", [{"type": "session.update", "session": {"type": "realtime"}}, {"type": "nonsense"}], ids=["read", "unread"]
)
def test_a_flood_ends_the_session_and_sound_is_none(event: dict[str, object]) -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        for _ in range(700):
            client.send(APPEND, audio=FRAME)
        await client.soon()
        assert not client.of("error")
        for _ in range(2_000):
            if client.ended is None:
                client.live.receive(json.dumps({**event, "event_id": "e"}), arrived_at=0.0)
        assert client.ended == 1008
        codes = [event["error"]["code"] for event in client.of("error")]
        assert codes[-1] == "rate_limit_exceeded"
        assert codes.count("rate_limit_exceeded") == REFUSALS + 1

    scripted(test)


@pytest.mark.parametrize("separators", [(", ", ": "), (",", ":")])
def test_appends_of_next_to_nothing_count(separators: tuple[str, str]) -> None:
    async def test(client: Client, _world: World) -> None:
        assert client.live is not None
        text = json.dumps({"type": APPEND, "audio": b64encode(bytes(2)).decode()}, separators=separators)
        for _ in range(int(BURST) + 2):
            if not client.live.hear(text):
                client.live.receive(text)
        assert (await client.error())["code"] == "rate_limit_exceeded"

    scripted(test)
