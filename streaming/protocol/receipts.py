"""Learns whether speech has arrived: by the client's acknowledgements and, as these may be rare, by pings behind the speech.

Messages of a socket arrive in order. So a `pong` shows that everything sent before its `ping` has arrived.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from streaming.protocol.events import SpeechArrived
from streaming.protocol.messages import ServerPing

if TYPE_CHECKING:
    from streaming.protocol.channel import ServerChannel
    from streaming.protocol.events import Event


class Receipts:
    """The channels whose owner wants to know when the client has all of their audio.

    A ping's `t` is the negative number of the message before it, which tells it from a ping of a silent client.
    """

    __slots__ = ("_asked_seq", "_channels", "_confirmed_seq", "_wanted")

    def __init__(self, channels: dict[int, ServerChannel]) -> None:
        self._channels = channels
        self._wanted: dict[int, int] = {}  # position of the last frame, by channel
        self._confirmed_seq = 0
        self._asked_seq = -1  # the newest ping of this socket is behind this message

    def want(self, channel: int, pts_ms: int) -> list[Event]:
        """Ask for the channel's frames up to `pts_ms`. The event is returned as soon as it is known."""
        self._wanted[channel] = pts_ms
        return self._arrived()

    def withdraw(self, channel: int) -> None:
        """The channel's audio is not needed any more."""
        self._wanted.pop(channel, None)

    @property
    def due(self) -> bool:
        """True if a ping would tell something new."""
        return bool(self._wanted) and any(seq > self._asked_seq for seq in self._sent().values())

    def ask(self, last_seq: int) -> ServerPing:
        """The ping to send behind message `last_seq`."""
        self._asked_seq = last_seq
        return ServerPing(t=-last_seq)

    def forget_question(self) -> None:
        """The socket is gone, and the answer will not come."""
        self._asked_seq = -1

    def answered(self, t: float) -> list[Event]:
        """The client has answered the ping `t`."""
        return self.confirm(int(-t)) if 0 <= -t <= self._asked_seq and t == int(t) else []

    def confirm(self, seq: int) -> list[Event]:
        """The client has everything up to `seq`."""
        self._confirmed_seq = max(self._confirmed_seq, seq)
        return self._arrived() if self._wanted else []

    def _arrived(self) -> list[Event]:
        arrived = [channel for channel, seq in self._sent().items() if seq <= self._confirmed_seq]
        for channel in arrived:
            del self._wanted[channel]
        return [SpeechArrived(channel) for channel in arrived]

    def _sent(self) -> dict[int, int]:
        """Wanted channels whose audio has been sent, with the number of its last frame."""
        wanted = (
            (self._channels[number], pts_ms) for number, pts_ms in self._wanted.items() if number in self._channels
        )
        return {channel.id: channel.sent_seq for channel, pts_ms in wanted if channel.sent_pts_ms >= pts_ms}
