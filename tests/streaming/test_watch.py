"""Whatever a watched client sends: those who watch are told of it in a form that they can read, or not at all."""

from __future__ import annotations

import json
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from streaming.jarvis.observing import ChannelWatch
from streaming.jarvis.recording import Scribe
from streaming.jarvis.translate import as_message
from streaming.openai.watching import EventWatch
from streaming.ports import SeenMessage
from streaming.protocol.client import ClientConnection
from streaming.protocol.events import MessageReceived
from streaming.protocol.messages import ObserveEvent
from streaming.protocol.outbox import numbered
from streaming.protocol.sendqueue import serialise
from streaming.twilio.call import PhoneWatch
from streaming.watch import MAX_WAITING_BYTES

if TYPE_CHECKING:
    from streaming.ports import Seen, Side
    from streaming.watch import Watch


def watches() -> list[Watch]:
    connection = SimpleNamespace(microphone_format=lambda _channel: ("pcm_s16le", 16_000))
    watched: Any = SimpleNamespace(taps=[], work=SimpleNamespace(sounds=dict), connection=connection)
    return [kind(watched, audio=audio) for kind in (ChannelWatch, EventWatch, PhoneWatch) for audio in (False, True)]


def shown(data: str | bytes, side: Side = "client") -> list[Seen]:
    """What all watches show of it."""
    return [seen for watch in watches() if watch.wants(data) for seen in watch.read(side, data)]


def told(seen: Seen) -> dict[str, Any]:
    """The message, as the observer's client reads it."""
    client = ClientConnection(0.0)
    client.attach(0.0)
    assert isinstance(seen, SeenMessage)
    (received,) = client.receive_text(numbered(serialise(as_message(seen, 1, 0)), 1), 0.0)
    assert isinstance(received, MessageReceived)
    assert isinstance(received.message, ObserveEvent)
    assert received.message.direction == "client"
    return received.message.message


def nested(levels: int) -> str:
    return '{"a":' + "[" * (levels - 1) + "]" * (levels - 1) + "}"


scalars = st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=5)
names = st.sampled_from(["type", "token", "audio", "headers", "channel", "seq", "", "é"]) | st.text(max_size=3)
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3), max_leaves=12
)
objects = st.dictionaries(names, values, max_size=4)
# Some have a duplicate name, white space, or something behind them.
texts = st.builds(
    lambda value, indent, ascii_only, rest: json.dumps(value, indent=indent, ensure_ascii=ascii_only) + rest,
    objects,
    st.none() | st.just(1),
    st.booleans(),
    st.sampled_from(["", "", "\n", "}", ',"a":1,"a":2}']),
)


@given(texts | st.binary(max_size=64) | st.text(max_size=20))
@example(nested(63))
@example(nested(64))
@example(nested(65))
@example(" \n" + nested(2) + "\r\n")
@example(b"\x09" + bytes(31))
def test_what_is_shown_can_be_read(data: str | bytes) -> None:
    for seen in shown(data):
        assert not isinstance(seen, SeenMessage) or told(seen) == json.loads(seen.text)


@pytest.mark.parametrize("text", ['{"a": 1.0, "é": [null, {}]}', nested(63), '{"\\u0061":"\\ud83d\\ude00\\n"}', "{}\n"])
def test_what_hides_nothing_is_passed_on_as_it_is(text: str) -> None:
    seen = shown(text)
    assert seen == [SeenMessage("client", text)] * 6
    assert told(seen[0]) == json.loads(text)


def test_secrets_are_found_however_they_are_spelled() -> None:
    text = '{"type":"x","session":{"tools":[{"he\\u0061ders":{"k":"s3cret"},"é":1,"audio":{"server_url":"s3cret"}}]}}'
    for audio in (False, True):
        watched: Any = SimpleNamespace(taps=[])
        (seen,) = EventWatch(watched, audio=audio).read("client", text)
        assert told(seen) == {
            "type": "x",
            "session": {"tools": [{"headers": "(hidden)", "é": 1, "audio": {"server_url": "(hidden)"}}]},
        }


NESTED = [
    {"type": "call", "id": "1", "op": "auth.refresh", "params": {"refresh_token": "s3cret"}},
    {"type": "call", "id": "1", "op": "auth.token", "params": {"username": "ann", "password": "s3cret"}},
    {"type": "result", "id": "1", "result": {"access_token": "s3cret", "refresh_token": "s3cret"}},
    {"type": "note", "message": {"type": "observe.event", "message": {"type": "auth.refresh", "token": "s3cret"}}},
    {"type": "note", "session": {"tools": [{"type": "mcp", "headers": {"X-Key": "s3cret"}}]}},
    {"type": "note", "item": {"type": "function_call", "arguments": '{"password": "s3cret", "user": "ann"}'}},
    {"type": "call", "id": "1", "op": "memory.store", "params": {"key": "k", "value": '[{"token": "s3cret"}]'}},
    {"type": "call", "id": "1", "op": "x", "params": {"apiKey": "s3cret", "PASSWORD": "s3cret"}},
    {
        "type": "call",
        "id": "1",
        "op": "executor.browser.action",
        "params": {"action": "type", "parameters": {"selector": "#password", "text": "s3cret"}},
    },
    {"type": "note", "executor": "browser", "action": "navigate", "parameters": {"url": "http://u:s3cret@host/"}},
]


@pytest.mark.parametrize("side", ["client", "server"])
@pytest.mark.parametrize("message", NESTED, ids=lambda message: str(message)[:60])
def test_nested_secrets_are_hidden_in_every_dialect(message: dict[str, Any], side: Side) -> None:
    """As in recordings."""
    seen = shown(json.dumps(message), side)
    entry = Scribe().entry(0, "out", json.dumps(message))
    assert entry is not None
    assert len(seen) == 6
    for each in seen:
        assert isinstance(each, SeenMessage)
        assert "s3cret" not in each.text
        assert json.loads(each.text) == entry.message


def test_what_waits_is_counted_as_the_memory_it_takes() -> None:
    """A character takes up to four bytes, and around a short message there is more than in it."""
    (watch, *_) = watches()
    for text in ("😀" * 50_000, "x"):
        for _ in range(10_000):
            watch.received(text, 0.0)
        n_waiting = len(watch._waiting)
        assert 5 <= n_waiting <= MAX_WAITING_BYTES // 200
        watch._waiting.clear()
        watch._bytes = 0
