"""A listener's reports are taken in a short way, which differs from the general one in nothing but its cost."""

from __future__ import annotations

import json
import re
from typing import Any
from unittest.mock import patch

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streaming.protocol import inbox
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection

NOW = 100.0
LIMITS = Limits(command_burst=12, commands_per_s=1.0, open_price=3.0, refusals=3, acknowledge_every=2)
NUMBERS = st.one_of(
    st.integers(0, 4), st.sampled_from([-1, 9_999, 65_536, 10**9, 2**31, 2**32, 10**15, 2**53, 1.5, True, None, "1"])
)
FIELDS = st.lists(
    st.tuples(st.sampled_from(["seq", "channel", "bytes", "played_ms", "generation", "id", "x"]), NUMBERS), max_size=5
)
USUAL = [
    '{"type":"ack","seq":1}',
    '{"type":"credit","channel":1,"bytes":12800}',
    '{"type":"credit","channel":1,"bytes":12800,"seq":1}',
    '{"type":"credit","seq":1,"channel":1,"bytes":12800}',
    '{"type": "playback", "channel": 1, "played_ms": 840, "generation": 0}',
    '{"type":"playback","channel":1,"played_ms":0,"generation":1,"seq":1}',
    '{"type":"playback","seq":1,"channel":1,"played_ms":840}',
]


@st.composite
def reports(draw: st.DrawFn) -> str:
    if draw(st.booleans()):
        return draw(st.sampled_from(USUAL))
    fields = draw(FIELDS)
    kind = draw(st.sampled_from(["ack", "credit", "playback", "ping"]))
    said = ",".join(f'"{name}":{json.dumps(value)}' for name, value in [("type", kind), *fields])
    return f"{{{said}}}" if draw(st.booleans()) else f"{{{said}}}".replace(",", ", ", 1)


def listener() -> ServerConnection:
    """A connection with a channel that speaks, one that does not, and one that is closing."""
    server = ServerConnection("e1", NOW, LIMITS)
    server.attach(NOW)
    for number, kind in ((1, "tts"), (3, "stt"), (5, "tts")):
        params = {"text": "hello"} if kind == "tts" else {}
        opened = {"type": "channel.open", "channel": number, "kind": kind, "params": params}
        server.receive_text(json.dumps(opened), NOW)
    server.interrupt(1)
    server.data_to_send(NOW)
    server.close_channel(5)
    return server


def story(texts: list[str]) -> list[Any]:
    """What comes of these messages: events, answers, credit and numbers."""
    server = listener()
    told: list[Any] = []
    for step, text in enumerate(texts):
        now = NOW + 3 + step / 10
        try:
            told.append(server.receive_text(text, now))
        except RemoteProtocolError as broken:
            told.append((broken.close_code, broken.message))
            break
        told += [server.data_to_send(now), server.sendable_bytes(1), server.unacknowledged_bytes]
    return [*told, server.save({}).core]


@given(st.lists(reports(), max_size=14))
def test_the_short_way_is_the_general_one(texts: list[str]) -> None:
    short = story(texts)
    with patch.object(inbox, "_REPORT", re.compile("(?!)")):
        general = story(texts)
    assert short == general


@pytest.mark.parametrize("text", USUAL)
def test_what_clients_say_is_taken_in_the_short_way(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    server, read = listener(), list[str]()
    monkeypatch.setattr(inbox, "parse", lambda text, _limits: read.append(text))
    server.receive_text(text, NOW + 10)
    assert read == []
