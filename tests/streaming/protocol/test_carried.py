"""A connection that is carried to another replica."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from streaming.protocol import events, frame, messages
from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection
from streaming.protocol.snapshot import Rewind
from tests.streaming.protocol.test_server import NOW, attached
from tests.support.link import carried


def test_a_session_is_carried_to_another_replica() -> None:
    server = attached(Limits(resume_window_s=60), "turn")
    server.receive_text('{"type":"call","id":"a","op":"x","seq":1}', NOW)
    server.send_message(messages.Result(id="a", data=1))
    server.send_audio(1, b"\x00\xff", 0, 0)
    server.receive_binary(frame.encode(1, b"mic"), NOW)
    written = server.data_to_send(NOW)
    server.interrupt(1)
    server.taken(1, 3)
    server.receive_text('{"type":"credit","channel":1,"bytes":10,"seq":2}', NOW)
    server.send_message(messages.TaskProgress(channel=1, message="waits"))
    server.send_audio(1, b"waits too", 1, 5)
    server.close_channel(1)
    server.detach(NOW)
    record = carried(server.save({1: Rewind(0, 3)}))

    other = ServerConnection.restore(record, 1, 5000.0, Limits(resume_window_s=60), unix_offset_s=1.0)
    assert other is not None
    assert other.next_deadline() == 5060.0
    with pytest.raises(LocalProtocolError):
        other.attach(5000.0)
    assert other.resume(1, 5000.0)
    resumed, *rest = (json.loads(data) for data in other.data_to_send(5000.0) if isinstance(data, str))
    assert (resumed["taken_seq"], resumed["replayed"], resumed["channels"]) == (2, 1, {"1": 0})
    assert [(data["type"], data["seq"]) for data in rest] == [
        ("result", 2),
        ("task.progress", 3),
        ("channel.closed", 4),
    ]
    assert rest[0] == json.loads(written[0])
    assert other.receive_text('{"type":"channel.open","channel":1,"kind":"stt"}', 5000.0) == [
        events.CommandRefused("CHANNEL_IN_USE")
    ]
    assert other.receive_text('{"type":"call","id":"a","op":"x"}', 5000.0) == [events.CommandRepeated("a")]


def test_what_a_client_has_not_got_is_asked_for_in_vain_when_it_was_forgotten() -> None:
    server = attached(Limits(), "stt")
    server.send_message(messages.SttPartial(channel=1, text="a", stable_chars=0))
    server.data_to_send(NOW)
    server.receive_text('{"type":"ack","seq":2}', NOW)
    record = server.save({})
    assert ServerConnection.restore(record, 1, NOW) is None
    assert ServerConnection.restore(replace(record, texts={}), 2, NOW) is not None
    server.send_message(messages.SttPartial(channel=1, text="ab", stable_chars=0))
    assert ServerConnection.restore(replace(server.save({}), texts={}), 2, NOW) is None
