"""Messages that wait in a channel of the Python client while its reader is slow."""

from __future__ import annotations

from typing import Any

from streaming.client.channel import GatewayChannel
from streaming.protocol import messages
from streaming.protocol.events import AudioReceived


class Connection:
    """Of a client: the credit given back, and whether anybody was told to send it."""

    def __init__(self) -> None:
        self.given_back = self.wakes = 0

    def played(self, _channel: int, n_bytes: int) -> None:
        self.given_back += n_bytes

    def wake(self) -> None:
        self.wakes += 1


def frame(generation: int, payload: bytes) -> AudioReceived:
    return AudioReceived(7, payload, 0, last=False, lost=False, generation=generation, seq=0)


async def test_a_pause_throws_away_the_audio_that_waits_and_nothing_else() -> None:
    connection: Any = Connection()
    channel = GatewayChannel(connection, connection.wake, 7)
    words = messages.TtsWords(channel=7, words=())
    paused = messages.TurnPaused(channel=7, generation=1, heard_ms=40)
    closed = messages.ChannelClosed(channel=7, status="ok")
    for event in (frame(0, b"old"), words, frame(0, b"older"), paused, frame(1, b"new"), closed):
        channel.deliver(event)
    assert [event async for event in channel] == [words, paused, frame(1, b"new"), closed]
    assert connection.given_back == 8
    assert connection.wakes == 2
