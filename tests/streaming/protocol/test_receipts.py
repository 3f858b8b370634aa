"""The server learns that speech has arrived: by an acknowledgement, a pong, or the number with which a client resumes."""

from __future__ import annotations

import json
from typing import Any

from streaming.protocol import events, messages
from streaming.protocol.server import ServerConnection
from tests.support.link import carried

NOW = 100.0


def speaking(*channels: int) -> ServerConnection:
    """Each channel has the messages `channel.opened` and `tts.started`, and two frames."""
    server = ServerConnection("e1", NOW)
    server.attach(NOW)
    for channel in channels:
        server.receive_text(json.dumps({"type": "channel.open", "channel": channel, "kind": "turn"}), NOW)
        server.send_message(messages.TtsStarted(channel=channel, encoding="opus", sample_rate=24_000))
        for pts_ms in (0, 20):
            server.send_audio(channel, b"....", 0, pts_ms)
    return server


def pings(server: ServerConnection) -> list[Any]:
    texts = [json.loads(item) for item in server.data_to_send(NOW) if isinstance(item, str)]
    return [text["t"] for text in texts if text["type"] == "ping"]


def say(server: ServerConnection, **message: Any) -> list[Any]:
    return server.receive_text(json.dumps(message), NOW)


def test_a_ping_follows_the_speech_and_its_pong_is_the_receipt() -> None:
    server = speaking(1)
    server.want_receipt(1, 20)
    assert pings(server) == [-4]
    assert not server.has_data
    assert say(server, type="pong", t=-4) == [events.Ponged(-4), events.SpeechArrived(1)]
    assert say(server, type="pong", t=-4) == [events.Ponged(-4)]


def test_a_ping_goes_out_though_nothing_else_does() -> None:
    server = speaking(1)
    assert pings(server) == []
    server.want_receipt(1, 20)
    assert server.has_data
    assert pings(server) == [-4]


def test_an_acknowledgement_is_a_receipt() -> None:
    server = speaking(1)
    server.want_receipt(1, 20)
    pings(server)
    assert say(server, type="ack", seq=3) == []
    assert say(server, type="ack", seq=4) == [events.SpeechArrived(1)]
    server.want_receipt(1, 20)
    assert server.take_events() == [events.SpeechArrived(1)]


def test_the_pong_of_another_ping_is_none() -> None:
    server = speaking(1)
    server.want_receipt(1, 20)
    pings(server)
    for t in (4, -5, -3.5, -3, 0):
        assert say(server, type="pong", t=t) == [events.Ponged(t)]


def test_nothing_is_asked_before_the_speech_was_sent() -> None:
    server = speaking(1)
    server.want_receipt(1, 40)
    assert pings(server) == []
    server.send_audio(1, b"", 0, 40, last=True)
    assert pings(server) == [-5]


def test_one_ping_asks_for_all_channels() -> None:
    server = speaking(1, 3)
    server.want_receipt(1, 20)
    server.want_receipt(3, 20)
    assert pings(server) == [-8]
    assert say(server, type="pong", t=-8)[:2] == [events.Ponged(-8), events.SpeechArrived(1)]


def test_a_client_that_comes_back_tells_what_it_has() -> None:
    server = speaking(1)
    server.want_receipt(1, 20)
    pings(server)
    server.detach(NOW)
    assert server.resume(3, NOW)
    assert server.take_events() == []
    assert pings(server) == [-4]  # behind what is sent again
    server.detach(NOW)
    assert server.resume(4, NOW)
    assert server.take_events() == [events.SpeechArrived(1)]
    assert pings(server) == []


def test_speech_that_was_dropped_needs_no_receipt() -> None:
    server = speaking(1)
    server.want_receipt(1, 20)
    server.interrupt(1)
    assert pings(server) == []
    server = speaking(1)
    server.want_receipt(1, 40)
    server.close_channel(1, "ok")
    pings(server)
    assert say(server, type="ack", seq=5) == []


def test_what_was_acknowledged_is_not_spoken_again_elsewhere() -> None:
    server = speaking(1, 3)
    pings(server)
    say(server, type="ack", seq=6)
    say(server, type="ack", seq=7)
    restored = ServerConnection.restore(carried(server.save({})), 7, NOW)
    assert restored is not None
    assert [channel.sent_pts_ms for channel in restored.open_channels()] == [20, 0]
    all_of_it = ServerConnection.restore(carried(server.save({})), 8, NOW)
    assert all_of_it is not None
    assert [channel.sent_pts_ms for channel in all_of_it.open_channels()] == [20, 20]


def test_an_acknowledgement_of_an_earlier_utterance_says_nothing_about_this_one() -> None:
    server = speaking(1)
    server.send_message(messages.TtsStarted(channel=1, encoding="opus", sample_rate=24_000))
    pings(server)
    say(server, type="ack", seq=4)
    assert [channel.had_pts_ms for channel in server.open_channels()] == [-1]
