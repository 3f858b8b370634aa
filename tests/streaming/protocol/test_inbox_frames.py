"""Frames out of order, and floods."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest

from streaming.protocol import events, frame, messages
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.limits import Limits
from tests.streaming.protocol.test_inbox import refused, tell
from tests.streaming.protocol.test_server import NOW, attached, sent


def test_frames_are_numbered_and_taken_once() -> None:
    server = attached(None, "stt")
    assert server.receive_binary(frame.encode(1, b"a", seq=0, pts_ms=5), NOW) == [
        events.AudioReceived(1, b"a", 5, last=False, lost=False, generation=0, seq=0)
    ]
    assert server.receive_binary(frame.encode(1, b"a", seq=0), NOW) == []
    assert server.receive_binary(frame.encode(1, b"b", seq=5, flags=frame.LOST), NOW) == [
        events.AudioReceived(1, b"b", 0, last=False, lost=True, generation=0, seq=5)
    ]
    assert server.receive_binary(frame.encode(1, b"c", seq=4), NOW) == []


def test_the_last_frame_ends_the_input() -> None:
    server = attached(None, "stt")
    received, ended = server.receive_binary(frame.encode(1, b"a", flags=frame.LAST | frame.LOST), NOW)
    assert received == events.AudioReceived(1, b"a", 0, last=True, lost=True, generation=0, seq=0)
    assert ended == events.InputEnded(1)
    assert tell(server, type="channel.end", channel=1) == []
    assert server.receive_binary(frame.encode(1, b"a"), NOW) == []


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (frame.encode(1, b"a", seq=1), "FRAMES_MISSING"),
        (frame.encode(1, b"a", generation=1), "INVALID_FRAME"),
        (frame.encode(1, b"a" * 101), "FLOW_CONTROL"),
        (frame.encode(1, b"a" * 81), "AUDIO_RATE_LIMITED"),
        (frame.encode(1, b"a" * 81, flags=frame.LAST), "AUDIO_RATE_LIMITED"),
    ],
)
def test_a_wrong_frame_ends_its_channel_and_no_other(data: bytes, code: str) -> None:
    server = attached(Limits(microphone_window_bytes=100, audio_burst_bytes=80.0), "stt", "stt")
    (failed,) = server.receive_binary(data, NOW)
    assert isinstance(failed, events.ChannelFailed)
    assert failed.code == code
    assert not server.is_open(1)
    assert server.receive_binary(data, NOW) == []
    (closed,) = sent(server)
    assert (closed["type"], closed["status"], closed["code"]) == ("channel.closed", "error", code)
    assert len(server.receive_binary(frame.encode(3, b"x"), NOW)) == 1


@pytest.mark.parametrize(
    ("data", "close_code"),
    [
        (b"", 1002),
        (b"\x01" * 15, 1002),
        (frame.encode(1, b"").replace(b"\x01", b"\x02", 1), 1002),
        (frame.encode(1, b"x" * 101), 1009),
    ],
)
def test_a_broken_frame_closes_the_socket(data: bytes, close_code: int) -> None:
    server = attached(Limits(frame_bytes=100), "stt")
    with pytest.raises(RemoteProtocolError) as error:
        server.receive_binary(data, NOW)
    assert error.value.close_code == close_code


def test_credit_comes_back_as_audio_is_taken() -> None:
    server = attached(Limits(microphone_window_bytes=100), "stt")
    for seq in range(4):
        server.receive_binary(frame.encode(1, b"x" * 25, seq=seq), NOW)
    assert (server.grant_due_bytes(1), server.grant_due_bytes(2)) == (50, 1)
    server.taken(1, 25)
    assert server.grant_due_bytes(1) == 25
    assert sent(server) == []
    server.taken(1, 25)
    assert sent(server) == [{"type": "credit", "channel": 1, "bytes": 50, "next_frame": 4, "seq": 2}]
    tell(server, type="channel.end", channel=1)
    server.taken(1, 50)
    assert sent(server) == []  # there is nothing more to come


def test_microphones_that_begin_together_get_their_first_credit_one_after_the_other() -> None:
    """A thousand credits at once would hold up a thousand talkers' audio."""
    server = attached(Limits(microphone_window_bytes=1000))
    for channel, opened_at in ((1, NOW), (3, NOW + 0.25), (5, NOW + 0.75)):
        command = {"type": "channel.open", "channel": channel, "kind": "stt", "params": {}}
        server.receive_text(json.dumps(command), opened_at)
    assert [server.grant_due_bytes(channel) for channel in (1, 3, 5)] == [500, 375, 125]
    assert [opened["credit"] for opened in sent(server)] == [1000, 1000, 1000]


# --- floods ---


def test_too_many_commands_are_refused_then_the_socket_closes() -> None:
    server = attached(Limits(commands_per_s=3.0, command_burst=6.0, refusals=3.0))
    for number in range(2):
        assert len(tell(server, type="call", id=str(number), op="x")) == 1
    for _ in range(3):
        error = refused(server, '{"type":"call","id":"a","op":"x"}')
        assert (error["code"], error["id"], error["retryable"]) == ("RATE_LIMITED", "a", True)
        assert 0 < error["retry_after_ms"] <= 1000
    with pytest.raises(RemoteProtocolError) as closed:
        tell(server, type="call", id="a", op="x")
    assert closed.value.close_code == 4029
    assert len(server.receive_text('{"type":"call","id":"a","op":"x"}', NOW + 1)) == 1


def test_a_message_that_starts_work_counts_more() -> None:
    server = attached(Limits(commands_per_s=1.0, command_burst=7.0, work_price=3.0, open_price=4.0))
    for number in range(2):
        assert len(tell(server, type="call", id=str(number), op="x")) == 1
    error = refused(server, '{"type":"channel.open","channel":1,"kind":"stt"}')
    assert (error["code"], error["retry_after_ms"]) == ("RATE_LIMITED", 3000)
    assert refused(server, '{"type":"tts.text","channel":1,"text":"a"}')["code"] == "UNKNOWN_CHANNEL"  # one is left


def test_a_long_message_counts_more_and_ends_patience_sooner() -> None:
    server = attached(Limits(commands_per_s=1.0, command_burst=10.0, refusals=8.0, text_unit_bytes=100))
    long = {"type": "ping", "t": 1, "padding": "x" * 700}
    for _ in range(2):
        tell(server, **long)  # the second is over the rate
    with pytest.raises(RemoteProtocolError) as closed:
        tell(server, **long)
    assert closed.value.close_code == 4029


def test_many_values_count_more() -> None:
    server = attached(Limits(commands_per_s=1.0, command_burst=10.0, refusals=10.0))
    many = {"type": "ping", "t": 1, "values": [0] * 9 * 64}
    tell(server, **many)
    tell(server, **many)  # over the rate
    with pytest.raises(RemoteProtocolError) as closed:
        tell(server, **many)
    assert closed.value.close_code == 4029


@pytest.mark.parametrize("values", ["[]", "{}", "0"])
def test_more_values_than_a_message_may_have_close_the_socket(values: str) -> None:
    server = attached()
    with pytest.raises(RemoteProtocolError, match="2048 values") as closed:
        server.receive_text(f'{{"type":"ping","t":1,"values":[{",".join([values] * 2_100)}]}}', NOW)
    assert closed.value.close_code == 1009


@pytest.mark.parametrize(
    "frame", ['{"type":"ping","t":1,%s}', '{"type":"channel.open","channel":1,"kind":"tts","params":{%s}}']
)
def test_thousands_of_unknown_names_are_not_looked_at_one_by_one(frame: str) -> None:
    names = ",".join(f'"{number}":0' for number in range(2_000))
    assert refused(attached(), frame % names)["message"] == "more than 1000 fields"


def test_a_call_may_have_thousands_of_names() -> None:
    params = {str(number): 0 for number in range(2_000)}
    assert tell(attached(), type="call", id="a", op="x", params=params) == [events.CallReceived("a", "x", params)]


def test_the_longest_message_is_taken_from_a_rested_client() -> None:
    server = attached(Limits(command_burst=5.0, text_unit_bytes=10), "tts")
    text = '{"type":"tts.text","channel":1,"text":"' + "x" * 1_000 + '"}'
    assert server.receive_text(text, NOW + 1) == [events.TextReceived(1, "x" * 1_000)]


def test_a_flood_is_not_slow_because_it_is_handled_slowly() -> None:
    server = attached(Limits(commands_per_s=10.0, command_burst=6.0, work_price=3.0, refusals=2.0))
    calls = (f'{{"type":"call","id":"{number}","op":"x"}}' for number in range(5))
    codes = [server.receive_text(next(calls), NOW + number, arrived_at=NOW) for number in range(4)]
    assert [event for (event,) in codes] == [
        events.CallReceived("0", "x", {}),
        events.CallReceived("1", "x", {}),
        events.CommandRefused("RATE_LIMITED"),
        events.CommandRefused("RATE_LIMITED"),
    ]
    with pytest.raises(RemoteProtocolError):
        server.receive_text(next(calls), NOW + 4, arrived_at=NOW)


def test_as_many_calls_as_may_run_fit_into_a_burst() -> None:
    limits = Limits()
    server = attached(limits)
    for number in range(limits.running_calls):
        assert len(tell(server, type="call", id=str(number), op="x")) == 1


def test_all_channels_may_be_opened_three_times_at_once() -> None:
    """A client whose channels are soon done is not held back at first; one that goes on is."""
    limits = Limits()
    server = attached(limits)
    accepted = 0
    for number in range(100):
        (event, *_) = tell(server, type="channel.open", channel=2 * number + 1, kind="stt")
        if isinstance(event, events.ChannelAccepted):
            accepted += 1
            server.close_channel(event.channel)
            server.data_to_send(NOW)
    assert accepted == limits.command_burst // limits.open_price >= 3 * limits.channels


def test_five_hundred_calls_at_once_are_slowed_and_not_cut() -> None:
    limits = Limits()
    server = attached(limits)
    taken = 0
    for number in range(500):
        (event,) = tell(server, type="call", id=str(number), op="x")
        if isinstance(event, events.CallReceived):
            taken += 1
            server.send_message(messages.Result(id=event.id, data={}))
    assert taken == limits.command_burst // limits.work_price


def test_what_keeps_a_session_going_is_taken_over_the_rate_too() -> None:
    server = attached(Limits(commands_per_s=1.0, command_burst=1.0, refusals=5.0), "tts")
    assert tell(server, type="credit", channel=1, bytes=5) == [events.CreditGranted(1, 5)]
    assert tell(server, type="channel.cancel", channel=1) == [events.ChannelCancelled(1)]


def test_stray_frames_are_a_flood_too() -> None:
    server = attached(Limits(commands_per_s=1.0, command_burst=2.0, stray_price=1.0, refusals=2.0))
    stray = frame.encode(9, b"x")
    for _ in range(2):
        assert server.receive_binary(stray, NOW) == [events.CommandRefused("UNKNOWN_CHANNEL")]
    for _ in range(2):
        assert server.receive_binary(stray, NOW) == []
    assert [error["code"] for error in sent(server)] == ["UNKNOWN_CHANNEL"] * 2
    with pytest.raises(RemoteProtocolError):
        server.receive_binary(stray, NOW)


@pytest.mark.parametrize(("frames_per_s", "most_frames"), [(50, 150), (1_000_000, 101)])
def test_who_sends_audio_that_nobody_opened_a_channel_for_is_closed_soon(frames_per_s: int, most_frames: int) -> None:
    server, taken = attached(), 0
    with suppress(RemoteProtocolError):
        while taken <= most_frames:
            server.receive_binary(frame.encode(9, b"x"), NOW + taken / frames_per_s)
            taken += 1
    assert taken < most_frames
    assert 0 < len(sent(server)) <= 2 * most_frames // 3  # not every one is answered


@pytest.mark.parametrize(("last_bytes", "taken"), [(10_000, True), (10_001, False)])
def test_the_burst_is_exact_although_it_is_paid_for_in_portions(last_bytes: int, taken: bool) -> None:
    server = attached(Limits(audio_burst_bytes=40_000.0), "stt")
    for number in range(2):
        assert server.hear(frame.encode(1, bytes(15_000), seq=number), NOW) is not None
    last = frame.encode(1, bytes(last_bytes), seq=2)
    assert (server.hear(last, NOW) is not None) is taken
    if not taken:
        (failed,) = server.receive_binary(last, NOW)
        assert isinstance(failed, events.ChannelFailed)
        assert failed.code == "AUDIO_RATE_LIMITED"


def test_the_fast_way_takes_the_expected_frame_and_no_other() -> None:
    server = attached(None, "stt")
    assert server.hear(frame.encode(1, b"b", seq=1), NOW) is None
    assert server.hear(b"short", NOW) is None
    assert server.hear(frame.encode(1, b"a", seq=0, flags=0x80), NOW) is None  # flags are looked at elsewhere
    assert server.hear(b"\2" + frame.encode(1, b"a", seq=0)[1:], NOW) is None  # another version
    assert server.hear(frame.encode(1, b"a", seq=0, generation=1), NOW) is None
    channel = server.hear(frame.encode(1, b"a", seq=0, pts_ms=5), NOW)
    assert channel is not None
    assert (channel.id, channel.next_frame) == (1, 1)
    assert server.hear(frame.encode(1, b"a", seq=0), NOW) is None
    (taken,) = server.receive_binary(frame.encode(1, b"b", seq=1), NOW)
    assert taken == events.AudioReceived(1, b"b", 0, last=False, lost=False, generation=0, seq=1)
