"""How much waits for a client that takes nothing: what it was told to fetch is kept, within a bound."""

from __future__ import annotations

from streaming.protocol import events, messages
from streaming.protocol.limits import Limits
from streaming.protocol.server import ServerConnection

NOW = 1000.0
LIMITS = Limits(queue_bytes=400, detached_queue_bytes=800, most_queue_bytes=1_600)
LETTERS = 60  # of a message of some 100 bytes


def put_until(server: ServerConnection, n_bytes: int, number: int = 0) -> int:
    """Send messages until so much waits; returns the number of the next."""
    while server.queue_bytes < n_bytes:
        assert server.resumable
        server.send_message(messages.Result(id=f"c{number}", data="x" * LETTERS))
        number += 1
    return number


def put_until_slow(server: ServerConnection, number: int) -> int:
    while not server.take_events():
        server.send_message(messages.Result(id=f"c{number}", data="x" * LETTERS))
        number += 1
    return number


def came() -> ServerConnection:
    server = ServerConnection("e1", NOW, LIMITS)
    server.attach(NOW)
    return server


def ids(server: ServerConnection) -> list[str]:
    """Of the results that a client gets which reads everything."""
    texts = [text for text in server.data_to_send(NOW, 1 << 20) if isinstance(text, str) and '"id":"c' in text]
    return [text.split('"id":"')[1].split('"')[0] for text in texts]


def test_a_client_that_takes_nothing_of_what_was_kept_has_it_when_it_comes_again() -> None:
    server = came()
    server.detach(NOW)
    number = put_until(server, 750)  # almost all that is kept without a socket
    assert server.resume(0, NOW)
    number = put_until_slow(server, number)  # it takes nothing, and is closed with 4002: resume
    server.detach(NOW)
    number = put_until(server, 1_400, number)  # there is room for what comes meanwhile
    assert server.resumable
    assert server.resume(0, NOW)
    assert ids(server) == [f"c{at}" for at in range(number)]


def test_it_has_it_at_another_replica_too() -> None:
    server = came()
    server.detach(NOW)
    number = put_until(server, 750)
    assert server.resume(0, NOW)
    number = put_until_slow(server, number)
    server.detach(NOW)
    moved = ServerConnection.restore(server.save({}), 0, NOW, LIMITS)
    assert moved is not None
    number = put_until(moved, server.queue_bytes + 100, number)  # what its work there says before the client is back
    assert moved.resume(0, NOW)
    assert ids(moved) == [f"c{at}" for at in range(number)]


def test_what_is_kept_is_bounded_however_often_a_client_comes_and_takes_nothing() -> None:
    server, number, most = came(), 0, 0
    for _ in range(10):
        number = put_until_slow(server, number)
        most = max(most, server.queue_bytes)
        server.detach(NOW)
        if not server.resumable:
            break
        most = max(most, server.queue_bytes)
        assert server.resume(0, NOW)
    assert not server.resumable
    assert LIMITS.most_queue_bytes - 400 < most < LIMITS.most_queue_bytes + 2 * LETTERS
    assert server.queue_bytes == 0


def test_a_slow_consumer_with_more_than_is_ever_kept_is_given_up_as_it_leaves() -> None:
    server = came()
    server.send_message(messages.Result(id="a", data="x" * 1_600))
    server.detach(NOW)
    assert [type(event) for event in server.take_events()] == [events.SlowConsumer, events.ResumeLost]
