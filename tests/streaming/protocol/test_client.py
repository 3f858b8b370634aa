from __future__ import annotations

import json
from typing import Any

import pytest

from streaming.protocol import events, frame, messages
from streaming.protocol.client import ClientConnection
from streaming.protocol.errors import LocalProtocolError, RemoteProtocolError
from streaming.protocol.limits import ClientLimits, Limits
from tests.support.link import TOKEN, Link, ready

NOW = 100.0


def connected(client_limits: ClientLimits | None = None, limits: Limits | None = None) -> Link:
    return Link(limits, client_limits).connect().settle()


def with_channel(params: Any, client_limits: ClientLimits | None = None, limits: Limits | None = None) -> Link:
    link = connected(client_limits, limits)
    assert link.client.open_channel(params) == 1
    return link.settle()


def started(client: ClientConnection) -> ClientConnection:
    """The client alone, with a session."""
    client.attach(NOW)
    client.receive_text(ready("e1").model_dump_json(exclude_none=True), NOW)
    return client


def alone() -> ClientConnection:
    return started(ClientConnection(NOW))


def say(client: ClientConnection, message: messages.Message, **fields: Any) -> list[Any]:
    """The server says it."""
    data = {**json.loads(message.model_dump_json(exclude_none=True)), **fields}
    return client.receive_text(json.dumps(data), NOW)


def told(link: Link, kind: type) -> list[Any]:
    return [event for event in (*link.server_events, *link.client_events) if isinstance(event, kind)]


def types(data: list[str | bytes]) -> list[str]:
    return [json.loads(item)["type"] if isinstance(item, str) else frame.decode(item).payload.decode() for item in data]


# --- a session begins ---


def test_nothing_leaves_before_the_session_is_ready() -> None:
    link = Link()
    assert link.client.call("agent.intents") == "c1"
    link.connect()
    assert not link.client.has_data
    assert link.client.data_to_send() == []
    link.settle()
    assert told(link, events.SessionStarted) == [events.SessionStarted(ready("e1"))]
    assert told(link, events.CallReceived) == [events.CallReceived("c1", "agent.intents", {})]
    assert (link.client.epoch, link.client.resume_token) == ("e1", TOKEN)


def test_sockets_do_not_overlap_and_resume_what_there_is() -> None:
    client = ClientConnection(NOW)
    with pytest.raises(LocalProtocolError):
        client.attach(NOW, "url")
    client.attach(NOW)
    with pytest.raises(LocalProtocolError):
        client.attach(NOW)
    client.detach()
    client.ping(NOW)  # there is no socket to ask on
    assert (client.has_data, client.data_to_send(), client.attached) == (False, [], False)


def test_a_second_ready_on_one_socket_is_not_told() -> None:
    client = alone()
    assert say(client, ready("e2")) == []
    assert client.epoch == "e1"


# --- commands and answers ---


def test_calls_are_answered() -> None:
    link = connected()
    first, second = link.client.call("a"), link.client.call("b", {"x": 1})
    link.settle()
    link.server.send_message(messages.Result(id=first, data=[1]))
    link.server.send_message(messages.Error(id=second, code="NOT_FOUND", message="no"))
    link.server.send_message(messages.Error(code="INTERNAL", message="of nobody"))
    link.settle()
    assert [message.type for message in link.messages()[1:]] == ["result", "error", "error"]
    link.cut().connect().settle()
    assert told(link, events.SessionStarted)[1].lost_commands == ()


def test_a_channel_is_spoken_to_and_read() -> None:
    link = with_channel(messages.TtsParams())
    link.client.send_text(1, "hello ")
    link.client.send_text(1, "world")
    link.client.end_channel(1)
    link.client.report_playback(1, 5)
    link.settle()
    assert link.server_events[1:] == [
        events.TextReceived(1, "hello "),
        events.TextReceived(1, "world"),
        events.InputEnded(1),
        events.PlaybackReported(1, 5),
    ]
    with pytest.raises(LocalProtocolError):
        link.client.send_text(1, "too late")


def test_confirmations_and_tokens_are_handed_on() -> None:
    link = connected()
    link.client.refresh_auth("new")
    assert link.client.confirm("q", approve=True, channel=1) == "c1"
    link.settle()
    assert link.server_events == [
        events.AuthRefreshReceived("new", None),
        events.ConfirmationReceived("q", True, "c1", 1),
    ]


def test_what_is_sent_on_a_channel_that_was_closed_meanwhile_goes_nowhere() -> None:
    link = with_channel(messages.TurnParams())
    link.server.close_channel(1)
    link.settle()
    client = link.client
    client.send_audio(1, b"x", 0)
    client.send_text(1, "x")
    client.commit(1)
    client.end_channel(1)
    client.cancel_channel(1)
    client.report_playback(1, 1)
    client.played(1, 100)
    assert not client.has_data
    assert client.sendable_bytes(1) == 0


@pytest.mark.parametrize("channel", [0, 2, 3, -1])
def test_a_channel_that_was_never_opened_is_the_callers_mistake(channel: int) -> None:
    link = with_channel(messages.TurnParams())
    with pytest.raises(LocalProtocolError):
        link.client.end_channel(channel)


def test_channel_numbers_end_some_day() -> None:
    client = alone()
    client._next_channel = 65_535
    assert client.open_channel(messages.SttParams()) == 65_535
    with pytest.raises(LocalProtocolError):
        client.open_channel(messages.SttParams())


# --- microphone ---


def test_frames_wait_for_the_channel_and_for_credit_and_control_does_not() -> None:
    link = connected(limits=Limits(microphone_window_bytes=10))
    link.client.open_channel(messages.SttParams())
    for number in range(3):
        link.client.send_audio(1, b"12345", number * 20, last=number == 2)
    assert link.client.sendable_bytes(1) == 0
    assert types(link.client.data_to_send()) == ["channel.open"]
    link.server.receive_text('{"type":"channel.open","channel":1,"kind":"stt","seq":1}', NOW)
    link.settle()
    assert [event.seq for event in told(link, events.AudioReceived)] == [0, 1]
    link.server.taken(1, 5)
    link.settle()
    assert [event.last for event in told(link, events.AudioReceived)] == [False, False, True]
    assert told(link, events.InputEnded) == [events.InputEnded(1)]
    with pytest.raises(LocalProtocolError):
        link.client.send_audio(1, b"", 0)


def test_commit_and_end_keep_their_place_behind_audio() -> None:
    link = with_channel(messages.TurnParams(), limits=Limits(microphone_window_bytes=4))
    link.client.send_audio(1, b"1234", 0)
    link.client.send_audio(1, b"5678", 20)
    link.client.commit(1)
    link.client.end_channel(1)
    link.settle()
    assert told(link, events.UtteranceCommitted) == []
    link.server.taken(1, 4)
    link.settle()
    assert [type(event) for event in link.server_events[2:]] == [
        events.AudioReceived,
        events.UtteranceCommitted,
        events.InputEnded,
    ]


def test_cancel_does_not_wait_for_credit() -> None:
    link = with_channel(messages.TurnParams(), limits=Limits(microphone_window_bytes=1))
    link.client.send_audio(1, b"too much", 0)
    link.client.cancel_channel(1)
    link.settle()
    assert link.server_events[1:] == [events.ChannelCancelled(1)]


def test_of_audio_that_can_not_leave_the_newest_is_kept() -> None:
    link = with_channel(messages.SttParams(), ClientLimits(pending_audio_bytes=8))
    link.cut()
    for pts_ms, payload in enumerate([b"1111", b"2222", b"3333"]):
        link.client.send_audio(1, payload, pts_ms)
    link.connect("url").settle()
    first, second = told(link, events.AudioReceived)
    assert (first.payload, first.lost, first.seq) == (b"2222", True, 0)
    assert (second.payload, second.lost, second.seq) == (b"3333", False, 1)


# --- speech ---


def test_audio_is_credited_as_it_is_played() -> None:
    link = with_channel(messages.TtsParams(text="hi"), ClientLimits(speaker_window_bytes=10))
    for pts_ms in (0, 20, 40):
        link.server.send_audio(1, b"12345", 0, pts_ms, last=pts_ms == 40, lost=pts_ms == 20)
    link.settle()
    first, second = told(link, events.AudioReceived)
    assert first == events.AudioReceived(1, b"12345", 0, last=False, lost=False, generation=0, seq=2)
    assert (second.lost, second.last) == (True, False)
    link.client.played(1, 4)
    assert not link.client.has_data
    link.client.played(1, 1)
    link.settle()
    assert told(link, events.AudioReceived)[2].last
    assert events.CreditGranted(1, 5) in link.server_events


def test_stale_audio_is_swallowed_and_credited() -> None:
    client = alone()
    client.open_channel(messages.TurnParams())
    half = ClientLimits().speaker_window_bytes // 2
    assert len(client.receive_binary(frame.encode(1, b"0", seq=1), NOW)) == 1
    say(client, messages.TurnInterrupted(channel=1, generation=2, heard_ms=0, heard_text=""), seq=2)
    client.data_to_send()
    assert client.receive_binary(frame.encode(1, b"x" * half, generation=1, seq=3), NOW) == []
    assert client.stale_bytes == half
    assert client.data_to_send() == [
        '{"type":"ack","seq":3}',
        f'{{"type":"credit","channel":1,"bytes":{half},"seq":2}}',
    ]
    (heard,) = client.receive_binary(frame.encode(1, b"new", generation=2, seq=4), NOW)
    assert isinstance(heard, events.AudioReceived)
    assert heard.generation == 2


def test_audio_that_crossed_with_a_cancel_is_not_told() -> None:
    link = with_channel(messages.TurnParams())
    link.server.send_audio(1, b"1111", 0, 0)
    link.write()
    link.client.cancel_channel(1)
    link.settle()
    assert told(link, events.AudioReceived) == []
    assert link.client.stale_bytes == 4


def test_more_audio_than_credit_is_the_servers_mistake() -> None:
    client = alone()
    client.open_channel(messages.TtsParams(text="x"))
    with pytest.raises(RemoteProtocolError):
        client.receive_binary(frame.encode(1, b"x" * 300_000, seq=1), NOW)


def test_events_about_a_channel_that_is_gone_are_harmless() -> None:
    client = alone()
    about = [
        messages.ChannelOpened(channel=9, kind="stt", credit=5),
        messages.Credit(channel=9, bytes=1, next_frame=1),
        messages.TurnPaused(channel=9, generation=3, heard_ms=0),
        messages.ChannelClosed(channel=9, status="ok"),
    ]
    for seq, message in enumerate(about, 1):
        assert [type(event) for event in say(client, message, seq=seq)] == [events.MessageReceived]
    assert client.receive_binary(frame.encode(9, b"x", seq=5), NOW) == []


def test_a_channel_that_the_server_refuses_to_open_is_closed() -> None:
    link = connected(limits=Limits(channels=1))
    link.client.open_channel(messages.TurnParams())
    assert link.client.open_channel(messages.TurnParams()) == 3
    link.settle()
    (closed,) = [message for message in link.messages() if isinstance(message, messages.ChannelClosed)]
    assert (closed.channel, closed.status, closed.code) == (3, "error", "TOO_MANY_CHANNELS")
    link.client.send_audio(3, b"1111", 0)  # as on any channel that was closed
    link.settle()
    assert told(link, events.AudioReceived) == []
    link.cut().connect().settle()
    assert told(link, events.SessionStarted)[1].lost_channels == (1,)


def test_a_channel_opened_twice_gives_its_credit_once() -> None:
    client = alone()
    client.open_channel(messages.SttParams())
    for seq in (1, 2):
        say(client, messages.ChannelOpened(channel=1, kind="stt", credit=5), seq=seq)
    assert client.sendable_bytes(1) == 5


# --- what a server may say ---


def test_a_newer_server_may_say_more() -> None:
    client = alone()
    (event,) = client.receive_text('{"type":"turn.mood","channel":1,"mood":"fine","seq":1}', NOW)
    assert isinstance(event, events.UnknownMessageReceived)
    assert (event.type, event.data["mood"]) == ("turn.mood", "fine")
    (event,) = client.receive_text('{"type":"turn.reply","channel":1,"text":"hi","mood":"fine","seq":2}', NOW)
    assert isinstance(event, events.MessageReceived)
    assert event.message == messages.TurnReply(channel=1, text="hi", seq=2)


@pytest.mark.parametrize(
    ("text", "close_code"),
    [
        ("hello", 1007),
        ('{"type":"result","seq":NaN}', 1007),
        ('{"seq":1}', 1002),
        ('{"type":"turn.reply","channel":1,"seq":1}', 1002),
        ('{"type":"result","id":"a","data":1,"seq":2}', 1002),
        ('{"type":"session.resumed","epoch":"e1","recovered":true,"replayed":0,"taken_seq":0,"channels":{}}', 1002),
    ],
)
def test_a_server_that_breaks_the_protocol(text: str, close_code: int) -> None:
    with pytest.raises(RemoteProtocolError) as error:
        alone().receive_text(text, NOW)
    assert error.value.close_code == close_code


def test_a_repeated_message_is_told_once() -> None:
    client = alone()
    result = messages.Result(id="a", data=1)
    assert say(client, result, seq=1)
    assert say(client, result, seq=1) == []
    assert client.receive_binary(frame.encode(1, b"", seq=1), NOW) == []
