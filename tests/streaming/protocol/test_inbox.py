from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streaming.protocol import events, frame, messages
from streaming.protocol.close_codes import CLOSE_CODES
from streaming.protocol.errors import ERROR_CODES, RemoteProtocolError
from streaming.protocol.limits import Limits
from tests.streaming.protocol.test_server import NOW, attached, sent
from tests.support.link import talk

if TYPE_CHECKING:
    from collections.abc import Callable

    from streaming.protocol.server import ServerConnection


def tell(server: ServerConnection, **command: Any) -> list[Any]:
    return server.receive_text(json.dumps(command), NOW)


def refused(server: ServerConnection, text: str) -> dict[str, Any]:
    """The error that answers it."""
    (event,) = server.receive_text(text, NOW)
    error: dict[str, Any]
    (error,) = sent(server)
    assert event == events.CommandRefused(error["code"])
    assert error["type"] == "error"
    assert error["retryable"] == ERROR_CODES[error["code"]].retryable
    return error


# --- text that is no command ---


@pytest.mark.parametrize(
    ("text", "close_code"),
    [("", 1007), ("hello", 1007), ("[]", 1007), ("7", 1007), ('{"type":', 1007), ('{"a":"' + "é" * 200 + '"}', 1009)],
)
def test_broken_framing_closes_the_socket(text: str, close_code: int) -> None:
    server = attached(Limits(text_bytes=400))
    with pytest.raises(RemoteProtocolError) as error:
        server.receive_text(text, NOW)
    assert error.value.close_code == close_code
    assert close_code in CLOSE_CODES
    assert error.value.message


def test_long_text_of_few_bytes_is_taken() -> None:
    assert refused(attached(Limits(text_bytes=400)), '{"type":"' + "x" * 300 + '"}')["code"] == "UNKNOWN_TYPE"


@pytest.mark.parametrize(
    ("text", "code", "field"),
    [
        ('{"type":"ping","id":"i","t":NaN}', "INVALID_JSON", "NaN"),
        ('{"type":"ping","id":"i","t":1,"t":2}', "INVALID_JSON", "twice"),
        ('{"type":"call","id":"i","op":"x","params":' + '{"a":' * 40 + "1" + "}" * 41, "INVALID_JSON", "deeper"),
        ('{"type":"fly","id":"i"}', "UNKNOWN_TYPE", "fly"),
        ('{"id":"i"}', "UNKNOWN_TYPE", "missing"),
        ('{"type":7,"id":"i"}', "UNKNOWN_TYPE", "missing"),
        ('{"type":"ping","id":"i"}', "INVALID_FIELD", "t: Field required"),
        ('{"type":"ping","id":"i","t":"1"}', "INVALID_FIELD", "t."),
        ('{"type":"ping","id":"i","t":1,"wings":2}', "INVALID_FIELD", "wings: "),
        (
            '{"type":"channel.open","id":"i","channel":1,"kind":"stt","params":[]}',
            "INVALID_FIELD",
            "params: Input should be an object",
        ),
        (
            '{"type":"channel.open","id":"i","channel":1,"kind":"stt","params":{"vocabulary":"a"}}',
            "INVALID_FIELD",
            "params.vocabulary: Input should be a valid array",
        ),
        (
            '{"type":"channel.open","id":"i","channel":1,"kind":"stt","params":{"vocabulary":[1]}}',
            "INVALID_FIELD",
            "params.vocabulary.0: Input should be a valid string",
        ),
        ('{"type":"channel.open","id":"i","channel":1,"kind":"fly"}', "INVALID_FIELD", "kind"),
        ('{"type":"channel.open","id":"i","channel":"1","kind":"stt"}', "INVALID_FIELD", "channel: "),
        ('{"type":"channel.open","id":"i","channel":2,"kind":"stt"}', "INVALID_FIELD", "channel: "),
        (
            '{"type":"channel.open","id":"i","channel":1,"kind":"stt","params":{"sample_rate":7999}}',
            "INVALID_FIELD",
            "params.sample_rate: ",
        ),
        (
            '{"type":"channel.open","id":"i","channel":1,"kind":"tts","params":{"encoding":"opus","sample_rate":8001}}',
            "INVALID_FIELD",
            "params: ",
        ),
        ('{"type":"ack","id":"i","seq":1}', "INVALID_FIELD", "seq: "),
        ('{"type":"auth","id":"i","token":"t"}', "WRONG_STATE", "auth.refresh"),
        ('{"type":"channel.end","id":"i","channel":1}', "UNKNOWN_CHANNEL", "channel 1"),
    ],
)
def test_one_bad_command_is_answered_and_the_socket_stays(text: str, code: str, field: str) -> None:
    server = attached()
    error = refused(server, text)
    assert (error["code"], error["id"]) == (code, "i")
    assert field in error["message"]
    assert "channel" not in error
    assert tell(server, type="pong", t=1) == [events.Ponged(1)]


@pytest.mark.parametrize("command_id", ["", "x" * 65, 7, None, ["i"], "\ud800", "a\udfff"])
def test_an_id_that_is_none_is_not_echoed(command_id: object) -> None:
    assert "id" not in refused(attached(), json.dumps({"type": "fly", "id": command_id}))


def test_errors_name_a_channel_only_while_it_is_open() -> None:
    server = attached(None, "stt")
    assert refused(server, '{"type":"playback","channel":1,"played_ms":-1}')["channel"] == 1
    assert "channel" not in refused(server, '{"type":"playback","channel":3,"played_ms":-1}')
    assert "channel" not in refused(server, '{"type":"playback","channel":[],"played_ms":-1}')


def test_words_about_a_mistake_are_bounded() -> None:
    assert len(refused(attached(), json.dumps({"type": "ping", "t": 1, "x" * 5000: 1}))["message"]) == 300


def survives(receive: Callable[[Any, float], object], data: str | bytes) -> bool:
    """Is the socket still open?"""
    try:
        receive(data, NOW)
    except RemoteProtocolError as error:
        closed = error
    else:
        return True
    assert closed.close_code in CLOSE_CODES
    return False


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
field_names = st.sampled_from(
    ["id", "seq", "channel", "kind", "params", "t", "bytes", "op", "text", "played_ms", "credit"]
)
type_names = st.sampled_from(["call", "channel.open", "credit", "ack", "commit", "tts.text", "playback", "ping", "fly"])


@settings(deadline=None)
@given(st.lists(st.tuples(type_names, st.dictionaries(field_names, json_values, max_size=5)), max_size=10))
def test_whatever_a_client_says_it_gets_an_error_or_a_close_code(commands: list[tuple[str, dict[str, Any]]]) -> None:
    server = attached()
    for kind, fields in commands:
        if not survives(server.receive_text, json.dumps({"type": kind, **fields})):
            return
        for data in server.data_to_send(NOW):
            assert json.loads(data)["type"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=40), max_size=10))
def test_whatever_bytes_a_client_sends(frames: list[bytes]) -> None:
    server = attached(None, "stt", "tts")
    for data in frames:
        if not survives(server.receive_binary, data):
            return
        for said in server.data_to_send(NOW):
            assert json.loads(said)["type"]


# --- the socket's commands ---


def test_the_first_message_may_ask_for_a_session() -> None:
    server = attached()
    assert tell(server, type="session.resume", resume_token="t", last_seq=7) == [events.ResumeRequested("t", 7)]
    assert refused(server, '{"type":"session.resume","resume_token":"t","last_seq":7}')["code"] == "WRONG_STATE"


@pytest.mark.parametrize("first", ['{"type":"ping","t":1}', '{"type":"fly"}'])
def test_after_any_other_message_it_is_too_late_to_resume(first: str) -> None:
    server = attached()
    server.receive_text(first, NOW)
    server.data_to_send(NOW)
    assert refused(server, '{"type":"session.resume","resume_token":"t","last_seq":7}')["code"] == "WRONG_STATE"


def test_a_resumed_socket_does_not_resume_again() -> None:
    server = attached()
    server.detach(NOW)
    server.resume(0, NOW)
    server.data_to_send(NOW)
    assert refused(server, '{"type":"session.resume","resume_token":"t","last_seq":0}')["code"] == "WRONG_STATE"


def test_a_new_token_is_handed_on() -> None:
    assert tell(attached(), type="auth.refresh", id="a", token="t") == [events.AuthRefreshReceived("t", "a")]


def test_acknowledged_messages_are_not_kept() -> None:
    server = attached()
    server.send_message(messages.Result(id="a"))
    server.data_to_send(NOW)
    assert server.unacknowledged_bytes > 0
    assert tell(server, type="ack", seq=1) == []
    assert server.unacknowledged_bytes == 0


# --- numbered commands ---


def test_numbered_commands_are_taken_once() -> None:
    server = attached()
    assert len(tell(server, type="call", id="a", op="x", seq=1)) == 1
    assert tell(server, type="call", id="b", op="x", seq=1) == []
    assert len(tell(server, type="call", id="b", op="x", seq=2)) == 1


def test_a_refused_command_was_taken() -> None:
    server = attached()
    assert refused(server, '{"type":"fly","seq":1}')["code"] == "UNKNOWN_TYPE"
    assert refused(server, '{"type":"call","seq":2,"id":"a","id":"b"}')["code"] == "INVALID_JSON"
    assert len(tell(server, type="call", id="a", op="x", seq=3)) == 1


def test_a_gap_in_the_numbers_closes_the_socket() -> None:
    server = attached()
    with pytest.raises(RemoteProtocolError) as error:
        tell(server, type="call", id="a", op="x", seq=2)
    assert error.value.close_code == 1002


def test_commands_are_acknowledged_now_and_then() -> None:
    server = attached(Limits(acknowledge_every=3))
    for seq in range(1, 8):
        tell(server, type="call", id=str(seq), op="x", seq=seq)
    assert server.data_to_send(NOW) == ['{"type":"ack","seq":3}', '{"type":"ack","seq":6}']
    server.detach(NOW)
    server.resume(0, NOW)
    assert sent(server)[0]["taken_seq"] == 7
    tell(server, type="call", id="8", op="x", seq=8)
    assert sent(server) == []


# --- commands that come again ---


def test_a_repeated_call_is_not_run_again() -> None:
    server = attached()
    assert tell(server, type="call", id="a", op="x", params={"p": 1}) == [events.CallReceived("a", "x", {"p": 1})]
    assert tell(server, type="call", id="a", op="x", params={"p": 1}) == [events.CommandRepeated("a")]
    assert sent(server) == []
    server.send_message(messages.Result(id="a", data=1))
    assert talk(
        server,
        """
        << {"type":"result","id":"a","data":1,"seq":1}
        >> {"type":"call","id":"a","op":"x","params":{"p":1}}
        << {"type":"result","id":"a","data":1,"seq":2}
        """,
    ) == [events.CommandRepeated("a")]


def test_an_error_is_an_answer_too() -> None:
    server = attached()
    tell(server, type="call", id="a", op="x")
    server.send_message(messages.Error(id="a", code="UNAVAILABLE", message="down", retryable=True))
    server.send_message(messages.Error(code="UNAVAILABLE", message="of nobody"))
    sent(server)
    tell(server, type="call", id="a", op="x")
    assert sent(server)[0]["code"] == "UNAVAILABLE"


def test_an_answer_too_big_to_keep_is_not_given_again() -> None:
    server = attached(Limits(remembered_answer_bytes=10))
    tell(server, type="call", id="a", op="x")
    server.send_message(messages.Result(id="a", data=1))
    sent(server)
    assert refused(server, '{"type":"call","id":"a","op":"x"}')["code"] == "ALREADY_ANSWERED"


def test_running_calls_are_bounded() -> None:
    server = attached(Limits(running_calls=2))
    for command_id in "ab":
        tell(server, type="call", id=command_id, op="x")
    third = '{"type":"call","id":"c","op":"x"}'
    assert refused(server, third)["code"] == "TOO_MANY_CALLS"
    server.send_message(messages.Result(id="a", data=None))
    sent(server)
    assert server.receive_text(third, NOW) == [events.CallReceived("c", "x", {})]
    assert refused(server, '{"type":"call","id":"d","op":"x"}')["code"] == "TOO_MANY_CALLS"
    assert tell(server, type="call", id="b", op="x") == [events.CommandRepeated("b")]  # they are never refused


def test_an_id_belongs_to_one_command() -> None:
    server = attached()
    tell(server, type="call", id="a", op="x")
    assert (
        refused(server, '{"type":"task.confirm","id":"a","confirmation_id":"c","approve":true}')["code"] == "ID_REUSED"
    )
    assert refused(server, '{"type":"channel.open","id":"a","channel":1,"kind":"stt"}')["code"] == "ID_REUSED"


def test_another_request_does_not_get_the_answer_to_the_first() -> None:
    server = attached()
    first = {"type": "call", "id": "a", "op": "x"}
    tell(server, **first, params={"value": 1, "key": "k"})
    server.send_message(messages.Result(id="a", data=1))
    sent(server)
    for other in ('"op":"x","params":{"value":2,"key":"k"}', '"op":"y","params":{"value":1,"key":"k"}'):
        assert refused(server, f'{{"type":"call","id":"a",{other}}}')["code"] == "ID_REUSED"
    assert tell(server, **first, params={"key": "k", "value": 1}) == [events.CommandRepeated("a")]
    sent(server)
    confirm = '{"type":"task.confirm","id":"b","confirmation_id":"c","approve":%s}'
    assert len(server.receive_text(confirm % "false", NOW)) == 1
    assert refused(server, confirm % "true")["code"] == "ID_REUSED"


def test_a_confirmation_counts_once() -> None:
    server = attached()
    confirm = {"type": "task.confirm", "confirmation_id": "c", "approve": True}
    assert tell(server, **confirm, id="a", channel=3) == [events.ConfirmationReceived("c", True, "a", 3)]
    assert tell(server, **confirm, id="a") == [events.CommandRepeated("a")]
    assert tell(server, **confirm) == [events.ConfirmationReceived("c", True, None, None)]


def test_a_channel_opened_again_by_the_same_command_is_the_same() -> None:
    server = attached()
    command = '{"type":"channel.open","id":"a","channel":1,"kind":"stt"}'
    opened = '{"type":"channel.opened","channel":1,"id":"a","kind":"stt","credit":131072,"seq":%d}'
    (event, again) = talk(server, f">> {command}\n<< {opened % 1}\n>> {command}\n<< {opened % 2}")
    assert isinstance(event, events.ChannelAccepted)
    assert (event.kind, event.params) == ("stt", messages.SttParams())
    assert again == events.CommandRepeated("a")
    assert refused(server, command.replace("stt", "tts"))["code"] == "ID_REUSED"
    assert refused(server, command.replace("1", "3"))["code"] == "ID_REUSED"
    assert refused(server, command.replace('"stt"', '"stt","params":{"interim":false}'))["code"] == "ID_REUSED"
    server.close_channel(1)
    assert server.receive_text(command, NOW) == [events.CommandRefused("ALREADY_ANSWERED")]
    sent(server)
    assert refused(server, command)["code"] == "ALREADY_ANSWERED"


# --- channels ---


def test_a_channel_number_is_used_once() -> None:
    server = attached(None, "stt")
    again = '{"type":"channel.open","channel":1,"kind":"stt"}'
    assert refused(server, again)["code"] == "CHANNEL_IN_USE"
    server.close_channel(1)
    sent(server)
    assert refused(server, again)["code"] == "CHANNEL_IN_USE"


def test_channels_are_bounded() -> None:
    server = attached(Limits(channels=2), "stt", "stt")
    fifth = '{"type":"channel.open","channel":5,"kind":"stt","id":"a"}'
    assert refused(server, fifth)["code"] == "TOO_MANY_CHANNELS"
    server.close_channel(1)
    sent(server)
    assert len(server.receive_text(fifth, NOW)) == 1


@pytest.mark.parametrize(
    ("kind", "credit"), [("stt", 131_072), ("turn", 131_072), ("tts", 0), ("execute", 0), ("observe", 0)]
)
def test_only_kinds_with_a_microphone_give_credit(kind: str, credit: int) -> None:
    server = attached(None, kind)
    server.detach(NOW)
    server.resume(0, NOW)
    resumed, opened = sent(server)
    assert (opened["kind"], opened["credit"]) == (kind, credit)
    assert resumed["channels"] == ({"1": 0} if credit else {})


def test_input_ends_once_and_then_takes_no_more() -> None:
    server = attached(None, "stt", "tts")
    assert tell(server, type="commit", channel=1) == [events.UtteranceCommitted(1)]
    assert tell(server, type="tts.text", channel=3, text="hi") == [events.TextReceived(3, "hi")]
    for channel in (1, 3):
        assert tell(server, type="channel.end", channel=channel) == [events.InputEnded(channel)]
        assert tell(server, type="channel.end", channel=channel) == []
    assert refused(server, '{"type":"commit","channel":1}')["code"] == "WRONG_STATE"
    assert refused(server, '{"type":"tts.text","channel":3,"text":"hi"}')["code"] == "WRONG_STATE"
    server.receive_binary(frame.encode(1, b"x"), NOW)
    assert sent(server)[0]["code"] == "WRONG_STATE"


def test_commands_go_to_the_kinds_that_know_them() -> None:
    server = attached(None, "stt", "tts", "execute")
    assert refused(server, '{"type":"tts.text","channel":1,"text":"hi"}')["code"] == "WRONG_STATE"
    assert refused(server, '{"type":"commit","channel":3}')["code"] == "WRONG_STATE"
    assert refused(server, '{"type":"playback","channel":5,"played_ms":1}')["code"] == "WRONG_STATE"


def test_playback_of_stale_audio_is_of_no_interest() -> None:
    server = attached(None, "turn")
    server.interrupt(1)
    assert tell(server, type="playback", channel=1, played_ms=9) == [events.PlaybackReported(1, 9)]
    assert tell(server, type="playback", channel=1, played_ms=9, generation=1) == [events.PlaybackReported(1, 9)]
    assert tell(server, type="playback", channel=1, played_ms=9, generation=0) == []


def test_cancel_stops_once_and_what_crosses_it_is_ignored() -> None:
    server = attached(None, "stt", "tts")
    for channel in (1, 3):
        assert tell(server, type="channel.cancel", channel=channel) == [events.ChannelCancelled(channel)]
        assert tell(server, type="channel.cancel", channel=channel) == []
        assert tell(server, type="channel.end", channel=channel) == []
    assert tell(server, type="commit", channel=1) == []
    assert server.receive_binary(frame.encode(1, b"x"), NOW) == []
    assert sent(server) == []


def test_cancelling_what_only_waits_for_credit_lets_it_close() -> None:
    server = attached()
    tell(server, type="channel.open", channel=1, kind="tts", credit=0)
    server.send_audio(1, b"x", 0, 0)
    server.close_channel(1)
    assert [item["type"] for item in sent(server)] == ["channel.opened"]
    assert tell(server, type="playback", channel=1, played_ms=0) == []
    assert tell(server, type="channel.cancel", channel=1) == []
    assert [item["type"] for item in sent(server)] == ["channel.closed"]


def test_what_comes_for_a_closed_channel_crossed_on_the_wire() -> None:
    server = attached(None, "turn")
    server.close_channel(1)
    sent(server)
    for command in ("channel.end", "channel.cancel", "commit"):
        assert tell(server, type=command, channel=1) == []
    assert tell(server, type="credit", channel=1, bytes=1) == []
    assert server.receive_binary(frame.encode(1, b"x"), NOW) == []
    server.taken(1, 100)
    assert sent(server) == []
