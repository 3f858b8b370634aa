"""What must not be lost by the limits themselves: commands of a client that is closed, and answers that it has not acknowledged."""

from __future__ import annotations

import json
from itertools import count
from typing import Any

import pytest

from streaming.protocol import messages
from streaming.protocol.errors import RemoteProtocolError
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection
from streaming.protocol.unacknowledged import UnacknowledgedBuffer
from tests.streaming.protocol.test_server import NOW, attached


def results(data: list[str | bytes]) -> list[str]:
    told = [json.loads(text) for text in data if isinstance(text, str)]
    return [message["id"] for message in told if message["type"] == "result"]


def last_seq(data: list[str | bytes]) -> int:
    return max(int(json.loads(text).get("seq", 0)) for text in data if isinstance(text, str))


def flooded(server: ServerConnection, command: dict[str, Any]) -> int:
    """The number of the command for which the socket is closed."""
    for number in count(2):
        try:
            server.receive_text(json.dumps(command | {"seq": number}), NOW)
        except RemoteProtocolError:
            return number
    raise AssertionError


@pytest.mark.parametrize(
    "command",
    [
        {"type": "call", "id": "c", "op": "memory.search", "params": {}},
        {"type": "credit", "channel": 1, "bytes": 100},
        {"type": "playback", "channel": 1, "played_ms": 100},
    ],
)
def test_a_command_for_which_the_socket_is_closed_was_not_taken(command: dict[str, Any]) -> None:
    """The client sends it again, with the next socket."""
    server = attached()
    server.receive_text(json.dumps({"type": "channel.open", "channel": 1, "kind": "tts", "seq": 1}), NOW)
    closed_at = flooded(server, command)
    server.detach(NOW)
    assert server.resume(server.last_seq, NOW)
    texts = [json.loads(text) for text in server.data_to_send(NOW, 1 << 20) if isinstance(text, str)]
    assert texts[0]["taken_seq"] == closed_at - 1


def test_a_long_answer_waits_until_it_fits_beside_what_is_not_acknowledged() -> None:
    server = attached(Limits(replay_bytes=1_000))
    server.send_message(messages.Result(id="first", data="x"))
    seen = last_seq(server.data_to_send(NOW, 1 << 20))
    server.receive_text(json.dumps({"type": "ack", "seq": seen}), NOW)
    server.send_message(messages.Result(id="second", data="x" * 350))
    server.send_message(messages.Result(id="third", data="x" * 700))
    assert results(server.data_to_send(NOW, 1 << 20)) == ["second"]
    assert not server.has_data
    server.detach(NOW)
    assert server.resume(seen, NOW)
    again = server.data_to_send(NOW, 1 << 20)
    assert results(again) == ["second"]
    server.receive_text(json.dumps({"type": "ack", "seq": last_seq(again)}), NOW)
    assert results(server.data_to_send(NOW, 1 << 20)) == ["third"]


def test_after_a_move_no_more_is_sent_than_is_kept() -> None:
    limits = Limits(replay_bytes=1_000)
    server = attached(limits)
    for number in range(4):
        server.send_message(messages.Result(id=str(number), data="x" * 300))
    server.detach(NOW)
    moved = ServerConnection.restore(server.save({}), 0, NOW, limits)
    assert moved is not None
    assert moved.resume(0, NOW)
    assert results(moved.data_to_send(NOW, 1 << 20)) == ["0", "1"]
    moved.detach(NOW)
    assert moved.resume(0, NOW)
    assert results(moved.data_to_send(NOW, 1 << 20)) == ["0", "1"]


def test_an_answer_is_kept_that_is_longer_than_all_that_is_kept() -> None:
    buffer = UnacknowledgedBuffer(max_bytes=100, max_age_s=60)
    buffer.push("short", 5, NOW)
    buffer.push("long", 1_000, NOW)
    assert [sent.data for sent in buffer.since(1) or []] == ["long"]
    assert buffer.since(0) is None


def test_who_resumes_and_never_acknowledges_is_held_back_too() -> None:
    server = attached(Limits(replay_bytes=1_000))
    for number in range(2):
        server.send_message(messages.Result(id=str(number), data="x" * 300))
    server.data_to_send(NOW, 1 << 20)
    server.detach(NOW)
    assert server.resume(0, NOW)
    for number in range(2, 6):
        server.send_message(messages.Result(id=str(number), data="x" * 300))
    assert results(server.data_to_send(NOW, 1 << 20)) == ["0", "1"]
    server.detach(NOW)
    assert server.resume(0, NOW)  # nothing of it has been dropped for what came later
    assert results(server.data_to_send(NOW, 1 << 20)) == ["0", "1"]


def test_a_long_message_behind_audio_waits_until_it_fits_too() -> None:
    server = attached(Limits(replay_bytes=1_000), "tts")
    server.receive_text(json.dumps({"type": "ack", "seq": server.last_seq}), NOW)
    server.send_audio(1, bytes(300), 0, 20)
    word = messages.Word(text="x" * 40, start_ms=0, end_ms=20)
    server.send_message(messages.TtsWords(channel=1, words=(word,) * 10))
    sent = server.data_to_send(NOW, 1 << 20)
    assert [type(message) for message in sent] == [bytes]
    assert not server.has_data
