from __future__ import annotations

import json
from typing import Any

import pytest

from streaming.protocol import events, frame, messages
from streaming.protocol.errors import LocalProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection
from tests.support.link import ready, talk

NOW = 100.0


def attached(limits: Limits | None = None, *opens: str) -> ServerConnection:
    server = ServerConnection("e1", NOW, limits or Limits())
    server.attach(NOW)
    for number, kind in enumerate(opens):
        open_channel(server, 2 * number + 1, kind)
    return server


def open_channel(server: ServerConnection, channel: int = 1, kind: str = "turn", **fields: Any) -> None:
    params = {"observe": {"session_id": "other"}, "execute": {"executor": "os", "action": "date"}}.get(kind, {})
    command = {"type": "channel.open", "channel": channel, "kind": kind, "params": params, **fields}
    assert any(isinstance(e, events.ChannelAccepted) for e in server.receive_text(json.dumps(command), NOW))
    server.data_to_send(NOW)


def sent(server: ServerConnection, now: float = NOW) -> list[Any]:
    return [json.loads(data) if isinstance(data, str) else frame.decode(data) for data in server.data_to_send(now)]


def types(out: list[Any]) -> list[str]:
    return [item["type"] if isinstance(item, dict) else item.payload.decode() for item in out]


def test_only_a_microphone_has_a_format() -> None:
    server = attached(None, "turn", "tts")
    assert server.microphone_format(1) == ("pcm_s16le", 16_000)
    assert server.microphone_format(3) is None
    assert server.microphone_format(5) is None


# --- sockets ---


def test_a_fresh_connection_is_attached_once() -> None:
    server = ServerConnection("e1", NOW)
    before = server.attached
    server.attach(NOW)
    assert (before, server.attached) == (False, True)
    with pytest.raises(LocalProtocolError):
        server.attach(NOW)
    with pytest.raises(LocalProtocolError):
        server.resume(0, NOW)
    server.detach(NOW)
    server.detach(NOW + 1)
    with pytest.raises(LocalProtocolError):
        server.attach(NOW)
    assert server.resume(0, NOW)


def test_without_a_socket_nothing_comes_in() -> None:
    server = ServerConnection("e1", NOW)
    with pytest.raises(LocalProtocolError):
        server.receive_text("{}", NOW)
    with pytest.raises(LocalProtocolError):
        server.receive_binary(b"", NOW)


def test_messages_of_the_socket_carry_no_number_and_wait_for_nobody() -> None:
    server = ServerConnection("e1", NOW)
    server.send_message(ready("e1"))  # there is no socket: dropped
    server.attach(NOW)
    before = server.has_data
    server.send_message(messages.Result(id="a", data={"none": None}))
    server.send_message(messages.SessionDraining(reconnect_after_ms=5))
    assert (before, server.has_data) == (False, True)
    assert server.data_to_send(NOW) == [
        '{"type":"session.draining","reconnect_after_ms":5}',
        '{"type":"result","id":"a","data":{"none":null},"seq":1}',
    ]
    assert server.last_seq == 1


def test_what_waits_leaves_in_portions() -> None:
    server = attached()
    for number in range(5):
        server.send_message(messages.Result(id=str(number)))
    assert len(server.data_to_send(NOW, max_bytes=1)) == 1
    assert len(server.data_to_send(NOW, max_bytes=50)) == 2
    assert len(server.data_to_send(NOW)) == 2
    assert server.data_to_send(NOW) == []


# --- sending ---


def test_audio_waits_for_credit_and_control_does_not() -> None:
    server = attached()
    open_channel(server, credit=10)
    assert server.sendable_bytes(1) == 10
    for pts_ms in (0, 20, 40):
        server.send_audio(1, b"12345", 0, pts_ms, last=pts_ms == 40)
    assert server.sendable_bytes(1) == 0
    server.send_message(messages.TurnReply(channel=1, text="hi"))
    reply, first, second = sent(server)
    assert reply["type"] == "turn.reply"
    assert (first.seq, second.seq, second.pts_ms, second.flags) == (3, 4, 20, 0)
    assert not server.has_data
    told = server.receive_text('{"type":"credit","channel":1,"bytes":7}', NOW)
    assert told == [events.CreditGranted(1, 7)]
    assert server.sendable_bytes(1) == 2
    (last,) = sent(server)
    assert last.flags == frame.LAST


def test_a_frame_may_say_that_audio_is_missing() -> None:
    server = attached(None, "tts")
    server.send_audio(1, b"x", 0, 0, lost=True, last=True)
    assert sent(server)[0].flags == frame.LOST | frame.LAST


def test_audio_that_nothing_waits_before_is_sent_past_the_queue() -> None:
    server = attached()
    open_channel(server, 3, "tts", credit=12)
    sent(server)
    data = server.audio_at_once(3, b"1234", 0, 40, NOW)
    assert data == frame.encode(3, b"1234", seq=server.last_seq, pts_ms=40)
    assert (server.sendable_bytes(3), server.unacknowledged_bytes) == (
        8,
        len(data) + server.unacknowledged_bytes - len(data),
    )
    assert not server.has_data
    server.detach(NOW)
    assert server.resume(server.last_seq - 1, NOW)
    assert data in server.data_to_send(NOW)  # the same bytes once more


def test_audio_waits_while_half_of_what_is_kept_is_not_acknowledged() -> None:
    server = attached(Limits(replay_bytes=1_000))
    open_channel(server, 3, "tts", credit=10_000)
    sent(server)
    server.receive_text(json.dumps({"type": "ack", "seq": server.last_seq}), NOW)
    assert server.audio_at_once(3, bytes(500), 0, 0, NOW) is not None
    assert server.audio_at_once(3, bytes(4), 0, 40, NOW) is None
    server.receive_text(json.dumps({"type": "ack", "seq": server.last_seq}), NOW)
    assert server.audio_at_once(3, bytes(4), 0, 40, NOW) is not None


@pytest.mark.parametrize("why", ["credit", "queue", "detached", "stale", "unknown", "cancelled", "silent kind"])
def test_other_audio_has_to_be_queued(why: str) -> None:
    server = attached()
    open_channel(server, 3, "stt" if why == "silent kind" else "tts", credit=12)
    sent(server)
    if why == "queue":
        server.send_message(messages.ServerPing(t=1))
    elif why == "detached":
        server.detach(NOW)
    elif why == "cancelled":
        server.receive_text('{"type": "channel.cancel", "channel": 3}', NOW)
    last = server.last_seq
    payload, generation = bytes(13 if why == "credit" else 4), -1 if why == "stale" else 0
    assert server.audio_at_once(5 if why == "unknown" else 3, payload, generation, 0, NOW) is None
    assert server.last_seq == last


def test_an_interruption_makes_waiting_audio_stale() -> None:
    server = attached(None, "turn")
    server.send_audio(1, b"old", 0, 0)
    assert server.interrupt(1) == server.generation(1) == 1
    server.send_audio(1, b"late", 0, 20)
    server.send_audio(1, b"new", 1, 0)
    (only,) = sent(server)
    assert (only.generation, only.payload) == (1, b"new")
    assert server.audio_bytes_dropped == 7
    assert server.sendable_bytes(1) == messages.DEFAULT_CREDIT_BYTES - 3
    with pytest.raises(LocalProtocolError):
        server.send_audio(1, b"", 2, 0)


def test_only_kinds_that_speak_send_audio() -> None:
    server = attached(None, "stt")
    with pytest.raises(LocalProtocolError):
        server.send_audio(1, b"x", 0, 0)


def test_closed_comes_behind_the_audio_and_is_last() -> None:
    server = attached()
    open_channel(server, credit=0)
    server.send_audio(1, b"x", 0, 0)
    server.send_message(messages.TtsDone(channel=1, duration_ms=1))
    server.close_channel(1)
    assert not server.is_open(1)
    for said in (
        lambda: server.send_message(messages.TurnReply(channel=1, text="")),
        lambda: server.send_audio(1, b"", 0, 0),
        lambda: server.interrupt(1),
        lambda: server.close_channel(1),
    ):
        with pytest.raises(LocalProtocolError):
            said()
    assert sent(server) == []
    server.receive_text('{"type":"credit","channel":1,"bytes":1}', NOW)
    assert types(sent(server)) == ["x", "tts.done", "channel.closed"]
    assert (server.is_open(1), server.sendable_bytes(1), server.channels_by_kind()) == (False, 0, {})
    for said in (
        lambda: server.send_message(messages.TurnReply(channel=1, text="")),
        lambda: server.send_audio(1, b"", 0, 0),
        lambda: server.generation(1),
    ):
        with pytest.raises(LocalProtocolError):
            said()


def test_closing_with_an_error_does_not_wait_for_credit() -> None:
    server = attached()
    open_channel(server, credit=0)
    server.send_audio(1, b"x", 0, 0)
    server.close_channel(1, "error", "UNAVAILABLE", "tts: down")
    (closed,) = sent(server)
    assert closed == {
        "type": "channel.closed",
        "channel": 1,
        "status": "error",
        "code": "UNAVAILABLE",
        "message": "tts: down",
        "seq": 2,
    }


def test_a_cancelled_channel_says_no_more_audio_and_closes_at_once() -> None:
    server = attached(None, "turn")
    server.send_audio(1, b"x", 0, 0)
    assert server.receive_text('{"type":"channel.cancel","channel":1}', NOW) == [events.ChannelCancelled(1)]
    server.send_audio(1, b"y", 0, 0)
    server.send_message(messages.TurnDone(channel=1, status="cancelled"))
    server.close_channel(1, "ok")  # the lane was done before it heard of it
    assert types(sent(server)) == ["turn.done", "channel.closed"]
    assert server.audio_bytes_dropped == 2


def test_errors_name_a_channel_only_while_it_is_open() -> None:
    server = attached(None, "turn")
    for channel in (1, 9):
        server.send_message(messages.Error(channel=channel, code="NOT_FOUND", message="no"))
    server.close_channel(1)
    server.send_message(messages.Error(channel=1, code="NOT_FOUND", message="no"))
    assert [item.get("channel") for item in sent(server)] == [1, None, 1, None]


def test_what_the_core_says_itself_is_not_for_the_owner() -> None:
    server = attached(None, "turn")
    for message in (
        messages.ChannelOpened(channel=1, kind="turn", credit=1),
        messages.ChannelClosed(channel=1, status="ok"),
        messages.Credit(channel=1, bytes=1, next_frame=0),
    ):
        with pytest.raises(LocalProtocolError):
            server.send_message(message)


def test_figures() -> None:
    server = attached(None, "turn", "stt", "stt")
    server.send_message(messages.TaskProgress(channel=1, message="a"))
    server.send_message(messages.TaskProgress(channel=1, message="b"))
    assert server.channels_by_kind() == {"turn": 1, "stt": 2}
    assert server.merged_messages == 1
    assert server.queue_bytes == len('{"type":"task.progress","channel":1,"message":"b"}')
    before = server.unacknowledged_bytes
    server.data_to_send(NOW)
    assert (server.queue_bytes, server.unacknowledged_bytes - before) == (0, 50)


# --- bounds ---


def test_a_slow_consumer_is_told_once_and_its_session_can_be_resumed() -> None:
    server = attached(Limits(queue_bytes=100, detached_queue_bytes=300))
    server.send_message(messages.Result(id="a", data="x" * 90))
    server.send_message(messages.Result(id="b"))
    (slow,) = server.take_events()
    assert isinstance(slow, events.SlowConsumer)
    assert slow.queue_bytes > 100
    assert server.take_events() == []
    server.detach(NOW)
    assert server.resumable
    assert server.resume(0, NOW)
    server.send_message(messages.Result(id="c", data="x" * 90))
    assert [type(e) for e in server.receive_text('{"type":"pong","t":1}', NOW)] == [events.Ponged, events.SlowConsumer]
    assert len(sent(server)) == 4


def test_what_was_kept_for_a_client_does_not_make_it_slow() -> None:
    server = attached(Limits(queue_bytes=100, detached_queue_bytes=1_000))
    server.detach(NOW)
    for number in range(8):
        server.send_message(messages.Result(id=str(number), data="x" * 60))
    assert server.resume(0, NOW)
    for _ in range(20):  # it reads a message for each that comes
        server.send_message(messages.Result(id="more"))
        server.data_to_send(NOW, 1)
    sent(server)
    assert server.take_events() == []
    server.send_message(messages.Result(id="last", data="x" * 100))
    assert [type(event) for event in server.take_events()] == [events.SlowConsumer]  # all that was kept is taken


def test_a_queue_that_overflows_without_a_socket_is_given_up() -> None:
    server = attached(Limits(queue_bytes=100, detached_queue_bytes=300), "turn")
    server.detach(NOW)
    for number in range(3):
        server.send_message(messages.Result(id=str(number), data="x" * 90))
    (lost,) = server.take_events()
    assert isinstance(lost, events.ResumeLost)
    assert not server.resumable
    assert server.overflowed
    server.send_message(messages.TurnReply(channel=1, text="nobody hears it"))
    server.close_channel(1)
    assert (server.queue_bytes, server.unacknowledged_bytes, server.take_events()) == (0, 0, [])
    assert server.next_deadline() is None
    assert server.handle_timeout(NOW + 1000) == []
    assert not server.resume(1, NOW)


# --- time ---


def test_a_client_that_does_not_come_back_is_given_up() -> None:
    server = attached(Limits(resume_window_s=60))
    server.detach(NOW)
    assert server.next_deadline() == NOW + 60
    assert server.handle_timeout(NOW + 59) == []
    assert server.handle_timeout(NOW + 60) == [events.ResumeLost("the client did not come back in time")]
    assert not server.overflowed


def test_a_silent_client_is_asked_and_then_told_of_once() -> None:
    server = attached(Limits(heartbeat_s=20))
    assert server.next_deadline() == NOW + 20
    assert server.handle_timeout(NOW + 19) == []
    assert server.data_to_send(NOW) == []
    assert server.handle_timeout(NOW + 20) == []
    assert server.data_to_send(NOW + 20) == ['{"type":"ping","t":120000}']
    assert server.next_deadline() == NOW + 40
    assert server.handle_timeout(NOW + 40) == [events.PeerSilent(40.0)]
    assert server.next_deadline() is None
    assert server.handle_timeout(NOW + 60) == []
    assert server.receive_text('{"type":"pong","t":120000}', NOW + 61) == [events.Ponged(120_000)]
    assert server.next_deadline() == NOW + 81


def test_microphone_frames_are_signs_of_life() -> None:
    server = attached(None, "stt")
    server.receive_binary(frame.encode(1, b"x"), NOW + 7)
    server.receive_text('{"type":"ack","seq":1}', NOW + 7)
    assert server.next_deadline() == NOW + 27
    server.receive_binary(frame.encode(1, b"x"), NOW + 8)  # repeated, and yet a sign of life
    assert server.next_deadline() == NOW + 28


def test_what_is_too_old_is_forgotten() -> None:
    server = attached(Limits(replay_s=5))
    server.send_message(messages.Result(id="a"))
    server.data_to_send(NOW)
    assert server.next_deadline() == NOW + 5
    server.handle_timeout(NOW + 5)
    assert server.unacknowledged_bytes == 0
    server.detach(NOW + 5)
    assert not server.resume(0, NOW + 6)
    assert server.resume(1, NOW + 6)


def test_pong_tells_the_gateways_clock() -> None:
    server = ServerConnection("e1", NOW, unix_offset_s=1_700_000_000.0)
    server.attach(NOW)
    assert talk(server, '>> {"type":"ping","t":1.25}\n<< {"type":"pong","t":1.25,"server_time":1700000100000}') == []


# --- resume ---


def test_a_resume_sends_exactly_what_was_missed_then_what_waited() -> None:
    server = attached(None, "stt")
    for number in range(3):
        server.send_message(messages.Result(id=str(number)))
    written = server.data_to_send(NOW)
    server.detach(NOW)
    server.send_message(messages.Result(id="later"))
    assert server.data_to_send(NOW) == []
    second, third = map(str, written[1:])
    before = server.has_data
    assert server.resume(2, NOW)
    assert (before, server.has_data) == (False, True)
    talk(
        server,
        f"""
        << {{"type":"session.resumed","epoch":"e1","recovered":true,"replayed":2,"taken_seq":0,"channels":{{"1":0}}}}
        << {second}
        << {third}
        << {{"type":"result","id":"later","seq":5}}
        """,
    )


def test_a_resume_cut_short_can_be_resumed() -> None:
    server = attached()
    for number in range(3):
        server.send_message(messages.Result(id=str(number)))
    written = server.data_to_send(NOW)
    for _ in range(2):
        server.detach(NOW)
        assert server.resume(0, NOW)
        assert server.data_to_send(NOW, max_bytes=1)[1:] == written[:1]
    assert server.data_to_send(NOW) == written[1:]


def test_what_was_never_sent_or_is_gone_can_not_be_resumed() -> None:
    server = attached()
    server.send_message(messages.Result(id="a"))
    server.data_to_send(NOW)
    server.receive_text('{"type":"ack","seq":1}', NOW)
    server.detach(NOW)
    assert not server.resume(0, NOW)
    assert not server.resume(2, NOW)
    assert server.resume(1, NOW)


@pytest.mark.parametrize("flaw", [{"last_seq": -1}, {"last_seq": "7"}, {"resume_token": None}, {"extra": 1}])
def test_an_invalid_first_resume_is_left_to_the_owner_to_answer(flaw: dict[str, Any]) -> None:
    server = attached()
    asked = {"type": "session.resume", "id": "r1", "resume_token": "t", "last_seq": 7, **flaw}
    (refusal,) = server.receive_text(json.dumps(asked), NOW)
    assert isinstance(refusal, events.ResumeRefused)
    assert (refusal.id, refusal.code) == ("r1", "INVALID_FIELD")
    assert next(iter(flaw)) in refusal.message
    assert server.data_to_send(NOW) == []
    assert server.receive_text(json.dumps(asked), NOW) == [
        events.CommandRefused("INVALID_FIELD")
    ]  # no longer the first
