"""A session continues at another replica: the record's data about microphones, speech and commands."""

from __future__ import annotations

import json
from typing import Any

import pytest

from streaming.protocol import events, frame, messages
from streaming.protocol.client import ClientConnection
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection
from streaming.protocol.snapshot import Rewind
from tests.support.link import carried, ready

NOW = 100.0


def attached(kind: str = "turn", limits: Limits | None = None) -> ServerConnection:
    server = ServerConnection("e1", NOW, limits or Limits())
    server.attach(NOW)
    server.receive_text(json.dumps({"type": "channel.open", "channel": 1, "kind": kind, "seq": 1}), NOW)
    return server


def hear(server: ServerConnection, number: int, payload: bytes = b"mic.", flags: int = 0) -> list[Any]:
    return server.receive_binary(frame.encode(1, payload, seq=number, flags=flags), NOW)


def moved(server: ServerConnection, last_seq: int, rewind: Rewind | None = None) -> ServerConnection:
    record = carried(server.save({1: rewind} if rewind else {}))
    other = ServerConnection.restore(record, last_seq, NOW, Limits())
    assert other is not None
    assert other.resume(last_seq, NOW)
    return other


def leave(server: ServerConnection) -> list[Any]:
    return [json.loads(item) if isinstance(item, str) else frame.decode(item) for item in server.data_to_send(NOW)]


# --- microphones ---


@pytest.mark.parametrize(
    ("command", "event"), [("commit", events.UtteranceCommitted), ("channel.end", events.InputEnded)]
)
def test_what_was_said_behind_frames_is_said_again_behind_them(command: str, event: type[Any]) -> None:
    server = attached()
    hear(server, 0)
    hear(server, 1)
    server.receive_text(json.dumps({"type": command, "channel": 1}), NOW)
    server.receive_text(json.dumps({"type": command, "channel": 1}), NOW)  # twice says no more
    other = moved(server, 0, Rewind(0, 8))
    assert leave(other)[0]["channels"] == {"1": 0}
    assert other.hear(frame.encode(1, b"mic.", seq=0), NOW) is None  # there is more to look at than the frame
    assert [type(told) for told in hear(other, 0)] == [events.AudioReceived]
    assert [type(told) for told in hear(other, 1)] == [events.AudioReceived, event]
    if command == "commit":
        assert [type(told) for told in hear(other, 2)] == [events.AudioReceived]
    else:
        assert hear(other, 2) == [events.CommandRefused("WRONG_STATE")]


@pytest.mark.parametrize(
    ("command", "event"), [("commit", events.UtteranceCommitted), ("channel.end", events.InputEnded)]
)
def test_what_was_said_again_is_said_once_more_when_the_session_moves_again(command: str, event: type[Any]) -> None:
    server = attached()
    hear(server, 0)
    hear(server, 1)
    server.receive_text(json.dumps({"type": command, "channel": 1}), NOW)
    for _ in range(3):
        server = moved(server, 0, Rewind(0, 8))
        assert [type(told) for told in hear(server, 0)] == [events.AudioReceived]
        assert [type(told) for told in hear(server, 1)] == [events.AudioReceived, event]


def test_a_commit_before_all_audio_is_not_said_behind_the_first_frame() -> None:
    server = attached()
    server.receive_text('{"type":"commit","channel":1}', NOW)
    other = moved(server, 0)
    assert [type(told) for told in hear(other, 0)] == [events.AudioReceived]


def test_of_two_marks_each_has_its_place() -> None:
    server = attached(limits=Limits(microphone_window_bytes=16))
    for number in range(3):
        hear(server, number)
        server.receive_text('{"type":"commit","channel":1}', NOW)
    other = moved(server, 0, Rewind(1, 8))
    assert [type(told) for told in hear(other, 1)] == [events.AudioReceived, events.UtteranceCommitted]
    other.taken(1, 4, 2)  # and gives credit back, which forgets no mark
    assert [type(told) for told in hear(other, 2)] == [events.AudioReceived, events.UtteranceCommitted]


def test_an_input_that_ended_and_is_not_needed_again_stays_ended() -> None:
    server = attached()
    hear(server, 0, flags=frame.LAST)
    other = moved(server, 0, Rewind(1, 0))
    assert hear(other, 1) == [events.CommandRefused("WRONG_STATE")]


def test_an_input_that_ended_with_a_frame_ends_with_it_again() -> None:
    server = attached()
    hear(server, 0)
    hear(server, 1, flags=frame.LAST)
    other = moved(server, 0, Rewind(0, 8))
    hear(other, 0)
    assert [type(told) for told in hear(other, 1, flags=frame.LAST)] == [events.AudioReceived, events.InputEnded]


def test_a_client_keeps_the_frames_that_another_replica_may_need() -> None:
    server = attached(limits=Limits(microphone_window_bytes=16))
    leave(server)
    for number in range(3):
        hear(server, number)
    server.taken(1, 12, needed_frame=1)
    assert leave(server) == [{"type": "credit", "channel": 1, "bytes": 12, "next_frame": 1, "seq": 2}]
    hear(server, 3)
    hear(server, 4)
    server.taken(1, 8)
    assert leave(server)[0]["next_frame"] == 5


def test_a_window_that_was_used_up_is_given_back_when_nothing_comes_again() -> None:
    server = attached(limits=Limits(microphone_window_bytes=16))
    for number in range(4):
        hear(server, number)
    other = moved(server, 0, Rewind(4, 0))
    assert [item["bytes"] for item in leave(other) if item["type"] == "credit"] == [16]


# --- speech ---


def speaking() -> ServerConnection:
    server = attached()
    server.send_message(messages.TtsStarted(channel=1, encoding="opus", sample_rate=24_000))
    for pts_ms in (0, 20, 40):
        server.send_audio(1, b"....", 0, pts_ms)
    return server


def test_speech_goes_on_where_it_stood() -> None:
    server = speaking()
    leave(server)
    other = moved(server, 5)
    (channel,) = other.open_channels()
    assert channel.sent_pts_ms == 40
    assert other.is_paid(1, 40)
    assert not other.is_paid(1, 60)
    assert not other.is_paid(3, 0)


def test_frames_that_did_not_arrive_leave_again_without_credit() -> None:
    server = speaking()
    leave(server)
    other = moved(server, 4)
    (channel,) = other.open_channels()
    assert channel.sent_pts_ms == -1
    before = other.sendable_bytes(1)
    for pts_ms in (0, 20, 40):
        other.send_audio(1, b"....", 0, pts_ms)
    assert [item.pts_ms for item in leave(other) if isinstance(item, frame.Frame)] == [0, 20, 40]
    assert other.sendable_bytes(1) == before


def test_another_utterance_costs_credit_again() -> None:
    server = speaking()
    leave(server)
    server.send_message(messages.TtsStarted(channel=1, encoding="opus", sample_rate=24_000))
    other = moved(server, 5)
    (channel,) = other.open_channels()
    assert (channel.sent_pts_ms, channel.paid_pts_ms) == (-1, -1)
    leave(other)
    before = other.sendable_bytes(1)
    other.send_audio(1, b"....", 0, 0)
    assert other.sendable_bytes(1) == before - 4


def test_a_client_hears_no_frame_twice() -> None:
    client = ClientConnection(NOW)
    client.attach(NOW)
    client.receive_text(ready("e1").model_dump_json(exclude_none=True), NOW)
    client.open_channel(messages.TurnParams())

    def play(number: int, pts_ms: int, payload: bytes = b"..", flags: int = 0) -> int:
        return len(client.receive_binary(frame.encode(1, payload, seq=number, pts_ms=pts_ms, flags=flags), NOW))

    assert [play(1, 0), play(2, 20), play(3, 0), play(4, 20), play(5, 40)] == [1, 1, 0, 0, 1]
    assert play(6, 40, b"", frame.LAST) == 1
    begins = '{"type":"tts.started","channel":%d,"encoding":"opus","sample_rate":24000,"generation":0,"seq":%d}'
    client.receive_text(begins % (1, 7), NOW)
    client.receive_text(begins % (3, 8), NOW)  # of a channel that is gone
    assert play(9, 0) == 1


# --- commands ---


def test_commands_that_were_at_work_are_known() -> None:
    server = attached()
    for command_id in ("a", "b"):
        server.receive_text(json.dumps({"type": "call", "id": command_id, "op": "x"}), NOW)
    version = server.save({}).commands_version
    assert server.save({}, version).commands == []
    server.send_message(messages.Result(id="a", data=1))
    assert [entry[0] for entry in server.save({}, version).commands] == ["a", "b"]
    other = moved(server, 0)
    assert other.unanswered() == ["b"]


@pytest.mark.parametrize(
    ("kind", "params"),
    [
        ("tts", {}),
        ("turn", {}),
        ("observe", {"session_id": "kitchen"}),
        ("execute", {"executor": "os", "action": "ls"}),
    ],
)
def test_a_client_that_claims_what_never_left_gets_the_same_verdict_at_each_replica(
    kind: str, params: dict[str, str]
) -> None:
    def verdicts(ahead: int) -> tuple[bool, bool]:
        """At another replica, and at its own, which is asked last because it goes on with the session then."""
        elsewhere = ServerConnection.restore(carried(server.save({})), server.last_seq + ahead, NOW, Limits())
        server.detach(NOW)
        return elsewhere is not None, server.resume(server.last_seq + ahead, NOW)

    server = ServerConnection("e1", NOW, Limits())
    server.attach(NOW)
    opening = {"type": "channel.open", "channel": 1, "kind": kind, "params": params, "seq": 1}
    server.receive_text(json.dumps(opening), NOW)
    leave(server)
    assert server.is_open(1)
    assert verdicts(-(2**32)) == (False, False)
    assert verdicts(2**32) == (False, False)
    # Observed frames come at any time, and are in no record.
    assert verdicts(1) == (kind == "observe", False)
    assert verdicts(0) == (True, True)


def test_only_frames_of_an_utterance_are_behind_the_record() -> None:
    def may_be_ahead() -> bool:
        record = carried(server.save({}))
        elsewhere = ServerConnection.restore(record, server.last_seq + 500, NOW, Limits())
        if elsewhere is not None:
            again = carried(elsewhere.save({}))
            assert ServerConnection.restore(again, elsewhere.last_seq + 500, NOW, Limits()) is not None
        return elsewhere is not None

    server = attached()
    for ends in (True, False):
        assert not may_be_ahead()
        server.send_message(messages.TtsStarted(channel=1, encoding="opus", sample_rate=24_000))
        leave(server)
        assert may_be_ahead()
        generation = server.generation(1)
        server.send_audio(1, b"a", generation, 20)
        leave(server)
        assert may_be_ahead()
        if ends:
            server.send_audio(1, b"", generation, 40, last=True)
            assert may_be_ahead()
            leave(server)
        else:
            server.interrupt(1)
    assert not may_be_ahead()


def test_a_record_of_a_release_that_did_not_say_whether_it_sounds_may_be_behind() -> None:
    server = attached()
    leave(server)
    record = carried(server.save({}))
    del record.core["sounds"]
    for channel in record.core["channels"]:
        del channel["sounds"]
    assert ServerConnection.restore(record, server.last_seq + 500, NOW, Limits()) is not None
    assert ServerConnection.restore(record, 2**32, NOW, Limits()) is None
