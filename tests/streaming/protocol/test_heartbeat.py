from __future__ import annotations

import pytest

from streaming.protocol import events
from streaming.protocol.heartbeat import is_heartbeat
from streaming.protocol.limits import Limits
from streaming.protocol.messages import Pong
from streaming.protocol.server import ServerConnection

NOW = 100.0
PONG = '{"type":"pong","t":120000}'


def asked() -> ServerConnection:
    """A connection whose client was asked after 20 s of silence."""
    server = ServerConnection("e1", NOW, Limits(heartbeat_s=20))
    server.attach(NOW)
    assert server.handle_timeout(NOW + 20) == []
    assert server.data_to_send(NOW + 20) == ['{"type":"ping","t":120000}']
    return server


@pytest.mark.parametrize("answer", [PONG, '{"type": "pong", "t": 120000}'])
def test_the_answer_to_a_heartbeat_is_a_sign_of_life_and_no_more(answer: str) -> None:
    server = asked()
    assert server.hear_pong(answer, NOW + 21)
    assert server.next_deadline() == NOW + 41
    assert not server.has_data
    assert not server.hear_pong(answer, NOW + 22)  # a second one is a message like any other, and counts as one
    assert server.next_deadline() == NOW + 41


@pytest.mark.parametrize(
    "message",
    [
        '{"type":"pong","t":119999}',
        '{"type":"pong","t":120000,"x":1}',
        '{"t":120000,"type":"pong"}',
        '{"type":"ping","t":120000}',
        '{"type":"po ng","t":120000}',  # a type that does not exist
        '{"type":"pong","t":120 000}',  # not JSON
        '{"ty pe":"pong","t":120000}',
        "",
    ],
)
def test_anything_else_is_left_to_the_general_way(message: str) -> None:
    server = asked()
    assert not server.hear_pong(message, NOW + 21)
    assert server.next_deadline() == NOW + 40


def test_an_answer_that_comes_late_or_unasked_is_left_to_the_general_way() -> None:
    server = asked()
    server.receive_text('{"type":"ping","t":1}', NOW + 21)
    assert not server.hear_pong(PONG, NOW + 22)  # the client was heard before
    server.detach(NOW + 23)
    assert not server.hear_pong(PONG, NOW + 24)
    fresh = ServerConnection("e2", NOW)
    fresh.attach(NOW)
    assert not fresh.hear_pong("", NOW)


def test_an_answer_after_two_heartbeats_counts_still() -> None:
    server = asked()
    assert server.handle_timeout(NOW + 40) == [events.PeerSilent(40.0)]
    assert server.hear_pong(PONG, NOW + 41)
    assert server.next_deadline() == NOW + 61


def test_what_is_no_message_is_a_sign_of_life() -> None:
    server = asked()
    server.heard(NOW + 39)
    assert server.handle_timeout(NOW + 40) == []
    assert not server.has_data
    assert server.next_deadline() == NOW + 59


def test_only_pings_of_silence_are_heartbeats() -> None:
    texts = ['{"type":"ping","t":120000}', '{"type":"ping","t":-3}', '{"type":"ping","t":-1.5}', PONG]
    assert [is_heartbeat(text) for text in texts] == [True, False, False, False]


def test_a_ping_goes_past_the_queue_once_it_is_due_and_only_if_nothing_waits() -> None:
    server = ServerConnection("e1", NOW, Limits(heartbeat_s=20))
    assert server.ping_at_once(NOW + 20) is None  # there is no socket
    server.attach(NOW)
    assert server.ping_at_once(NOW + 19) is None
    server.send_message(Pong(t=1))
    assert server.ping_at_once(NOW + 20) is None
    server.data_to_send(NOW + 20)
    assert server.ping_at_once(NOW + 20) == '{"type":"ping","t":120000}'
    assert server.ping_at_once(NOW + 21) is None
    assert server.hear_pong(PONG, NOW + 21)
    assert server.next_deadline() == NOW + 41
