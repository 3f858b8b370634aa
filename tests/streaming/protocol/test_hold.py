"""A client that stops to acknowledge is held back for ten seconds, whatever filled what is kept for it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from streaming.protocol import messages
from streaming.protocol.limits import Limits
from streaming.protocol.outbox import HOLD_S
from streaming.protocol.server import ServerConnection

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = 1000.0
LIMITS = Limits(replay_bytes=1_000, heartbeat_s=60.0)


def write(server: ServerConnection, now: float) -> None:
    """As a socket's writer does: ask once, and again only when there may be something."""
    if server.has_data:
        server.data_to_send(now)


def acknowledge(server: ServerConnection, seq: int, now: float) -> None:
    server.receive_text(json.dumps({"type": "ack", "seq": seq}), now)


def speaking(*, acknowledges: bool = True) -> ServerConnection:
    """A session with a channel that speaks, whose client has acknowledged all so far."""
    server = ServerConnection("e1", NOW, LIMITS)
    server.attach(NOW)
    server.receive_text('{"type":"channel.open","channel":1,"kind":"tts","params":{"text":"x"},"credit":10000}', NOW)
    write(server, NOW)
    if acknowledges:
        acknowledge(server, server.last_seq, NOW)
    return server


def filled_at_once() -> ServerConnection:
    server = speaking()
    assert server.audio_at_once(1, bytes(500), 0, 0, NOW)
    server.send_audio(1, bytes(40), 0, 20)
    return server


def filled_by_the_last_that_waited() -> ServerConnection:
    server = speaking()
    server.send_audio(1, bytes(500), 0, 0)
    write(server, NOW)
    server.send_audio(1, bytes(40), 0, 20)
    return server


def filled_while_more_waits() -> ServerConnection:
    server = speaking()
    for number in range(20):
        server.send_message(messages.Result(id=f"c{number}", data="x" * 60))
    write(server, NOW - 1)
    write(server, NOW)
    return server


def full_when_first_acknowledged() -> ServerConnection:
    server = speaking(acknowledges=False)
    assert server.audio_at_once(1, bytes(600), 0, 0, NOW)
    acknowledge(server, 1, NOW)
    server.send_audio(1, bytes(40), 0, 20)
    return server


def full_after_an_acknowledgement() -> ServerConnection:
    server = speaking()
    assert server.audio_at_once(1, bytes(40), 0, 0, NOW - 5)
    assert server.audio_at_once(1, bytes(500), 0, 20, NOW - 5)
    server.send_audio(1, bytes(40), 0, 40)
    write(server, NOW - 5)
    acknowledge(server, server.last_seq - 1, NOW)
    return server


FILLED = [
    (filled_at_once, NOW),
    (filled_by_the_last_that_waited, NOW),
    (filled_while_more_waits, NOW - 1),  # one look is enough: the writer may not ask twice
    (full_when_first_acknowledged, NOW),
    (full_after_an_acknowledgement, NOW),
]


@pytest.mark.parametrize(("fill", "since"), FILLED, ids=[fill.__name__ for fill, _ in FILLED])
def test_a_hold_ends_after_ten_seconds(fill: Callable[[], ServerConnection], since: float) -> None:
    server = fill()
    write(server, NOW)
    assert server.queue_bytes
    before = server.has_data  # its writer is not asked again and again
    assert server.next_deadline() == since + HOLD_S
    server.handle_timeout(since + HOLD_S)
    assert (before, server.has_data) == (False, True)
    server.data_to_send(since + HOLD_S)
    assert server.queue_bytes == 0


@pytest.mark.parametrize(("fill", "since"), FILLED, ids=[fill.__name__ for fill, _ in FILLED])
def test_an_old_acknowledgement_begins_no_other_hold(fill: Callable[[], ServerConnection], since: float) -> None:
    """Neither while it lasts nor behind it: else a client that reads nothing could have all of it kept for ever."""
    server = fill()
    write(server, NOW)
    for seconds in range(1, int(HOLD_S)):
        acknowledge(server, 1, since + seconds)
        write(server, since + seconds)
    assert server.next_deadline() == since + HOLD_S
    server.handle_timeout(since + HOLD_S)
    acknowledge(server, 1, since + HOLD_S)
    server.data_to_send(since + HOLD_S)
    assert server.queue_bytes == 0


def test_who_has_resumed_is_not_held_again_by_an_old_acknowledgement() -> None:
    server = filled_at_once()
    server.detach(NOW)
    assert server.resume(1, NOW)
    write(server, NOW)
    acknowledge(server, 1, NOW + 1)
    assert server.next_deadline() == NOW + HOLD_S
    acknowledge(server, 2, NOW + 2)
    write(server, NOW + 2)
    assert server.queue_bytes == 0


def test_audio_that_waits_for_credit_is_not_held() -> None:
    server = speaking()
    assert server.audio_at_once(1, bytes(500), 0, 0, NOW)
    server.send_audio(1, bytes(9_600), 0, 20)
    write(server, NOW)
    beat = server.next_deadline()
    server.receive_text('{"type":"credit","channel":1,"bytes":1000}', NOW + 5)
    assert beat is not None
    assert beat > NOW + 5 + HOLD_S
    write(server, NOW + 5)
    assert server.next_deadline() == NOW + 5 + HOLD_S
