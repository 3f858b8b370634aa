"""The client acknowledges, pings a silent server, and resumes."""

from __future__ import annotations

from typing import Any

import pytest

from streaming.protocol import events, messages
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.limits import ClientLimits, Limits
from tests.streaming.protocol.test_client import NOW, alone, connected, say, told, types, with_channel


def test_received_messages_are_acknowledged_by_count_bytes_and_time() -> None:
    link = connected(ClientLimits(acknowledge_every=3, acknowledge_bytes=1000, acknowledge_s=1.0))
    for number in range(3):
        link.server.send_message(messages.Result(id=str(number)))
    link.settle()
    assert link.server.unacknowledged_bytes == 0
    link.server.send_message(messages.Result(id="big", data="x" * 1000))
    link.settle()
    assert link.server.unacknowledged_bytes == 0
    link.server.send_message(messages.Result(id="last"))
    link.server.send_message(messages.Result(id="very last"))
    link.settle()
    assert link.server.unacknowledged_bytes > 0
    assert link.client.next_deadline() == link.now + 1.0
    link.wait(0.5)
    assert link.server.unacknowledged_bytes > 0
    link.wait(0.5)
    assert link.server.unacknowledged_bytes == 0


def test_idle_peers_ask_each_other() -> None:
    link = connected().wait(65)
    pongs = told(link, events.PongReceived)
    assert len(pongs) == 3
    assert pongs[0] == events.PongReceived(0.0, 120_000)
    assert told(link, events.PeerSilent) == []


def test_a_servers_ping_is_answered() -> None:
    client = alone()
    assert say(client, messages.ServerPing(t=7)) == []
    assert client.data_to_send() == ['{"type":"pong","t":7}']


def test_a_silent_server_is_told_of_once() -> None:
    client = alone()
    assert client.next_deadline() == NOW + 20
    assert client.handle_timeout(NOW + 20) == []
    assert types(client.data_to_send()) == ["ping"]
    assert client.handle_timeout(NOW + 39) == []
    assert client.handle_timeout(NOW + 40) == [events.PeerSilent(40.0)]
    assert client.next_deadline() is None
    assert client.handle_timeout(NOW + 80) == []
    client.detach()
    assert client.next_deadline() is None
    assert client.handle_timeout(NOW + 120) == []


# --- resume ---


@pytest.mark.parametrize("way", ["url", "message"])
def test_what_was_under_way_is_sent_again_in_order_once(way: Any) -> None:
    link = with_channel(messages.TurnParams(), limits=Limits(acknowledge_every=2))
    for number in range(3):
        link.client.send_audio(1, b"%d" % number, number * 20)
    link.client.commit(1)
    call = link.client.call("x")
    link.write()
    link.deliver_up()
    link.deliver_up()
    link.cut()
    link.client.send_audio(1, b"3", 60)
    link.client.end_channel(1)
    link.server.send_message(messages.TurnReply(channel=1, text="hi"))
    link.connect(way).settle()
    assert [event.payload for event in told(link, events.AudioReceived)] == [b"0", b"1", b"2", b"3"]
    order = [type(event) for event in link.server_events if not isinstance(event, events.AudioReceived)]
    assert sorted(map(str, order[1:])) == sorted(
        map(str, [events.CallReceived, events.UtteranceCommitted, events.InputEnded])
    )
    assert told(link, events.CallReceived) == [events.CallReceived(call, "x", {})]
    assert [message.type for message in link.messages()][-1] == "turn.reply"
    assert len(told(link, events.SessionRecovered)) == 1


@pytest.mark.parametrize("way", ["url", "message"])
def test_a_session_that_can_not_be_resumed_begins_anew(way: Any) -> None:
    link = with_channel(messages.TurnParams())
    link.client.send_audio(1, b"x", 0)
    call = link.client.call("x")
    link.cut().wait(61)
    assert events.ResumeLost("the client did not come back in time") in link.server_events
    link.connect(way).settle()
    again = told(link, events.SessionStarted)[1]
    assert (again.lost_channels, again.lost_commands) == ((1,), (call,))
    assert again.ready.resume_error == "INCOMPLETE"
    assert link.client.open_channel(messages.SttParams()) == 1
    link.settle()
    assert link.client.sendable_bytes(1) == 131_072


def test_a_socket_that_asks_for_nothing_lets_the_old_session_go() -> None:
    link = with_channel(messages.TurnParams())
    link.cut().connect().settle()
    assert told(link, events.SessionStarted)[1].lost_channels == (1,)
    assert link.client.epoch == "e2"


def test_frames_of_a_channel_that_closed_meanwhile_are_not_sent_again() -> None:
    link = with_channel(messages.TurnParams())
    link.client.send_audio(1, b"x", 0)
    link.write()
    link.server.close_channel(1)
    link.write()
    link.cut().connect("url")
    link.settle()
    assert told(link, events.AudioReceived) == []
    assert not link.client._out._kept


def test_a_resume_cut_short_is_done_again() -> None:
    link = with_channel(messages.TurnParams())
    for number in range(3):
        link.client.send_audio(1, b"%d" % number, 0)
    link.write()
    link.cut().connect("url")
    link.write()
    link.deliver_down()
    assert types(link.client.data_to_send(max_bytes=1)) == ["0"]
    link.cut().connect("url").settle()
    assert [event.payload for event in told(link, events.AudioReceived)] == [b"0", b"1", b"2"]


def test_another_epoch_can_not_be_resumed() -> None:
    link = connected()
    link.cut()
    link.client.attach(NOW, "url")
    resumed = messages.SessionResumed(epoch="e9", replayed=0, taken_seq=0, channels={})
    with pytest.raises(RemoteProtocolError):
        say(link.client, resumed)


def test_the_newest_resume_token_is_the_one_to_show() -> None:
    client = alone()
    say(client, messages.SessionResumable(where="here", resume_token="fresh"))
    assert client.resume_token == "fresh"
    client.detach()
    client.attach(NOW, "message")  # what is said of the epoch that stands in for ours is not about ours
    say(client, messages.SessionResumable(where="here", resume_token="another"))
    assert client.resume_token == "fresh"
