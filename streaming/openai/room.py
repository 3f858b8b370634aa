"""How much of what clients have sent may wait in this process to be heard, and whose it is. Pure.

A session alone may send much faster than it is heard, and a user has many sessions. So there is one bound for all of them: each user
may hold at most as much as is still free. One user gets half of the room, two a third each, and somebody new always finds some.
(Choudhury and Hahne, "Dynamic Queue Length Thresholds for Shared-Memory Packet Switches", 1998.)
"""

from __future__ import annotations

from streaming.openai.mistakes import MistakeError

MOST_BYTES = 256 * 1024 * 1024


class HearingRoom:
    """Room for `most_bytes` of memory."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._users: dict[str, int] = {}  # bytes held, of those who hold any
        self.held_bytes = 0

    def holding(self, user_id: str) -> Holding:
        """What one session or socket of this user holds: nothing yet."""
        return Holding(self, user_id)

    def fits(self, user_id: str, n_bytes: int) -> bool:
        """True if this user may hold so many bytes more."""
        return self._users.get(user_id, 0) + n_bytes <= self._most_bytes - self.held_bytes - n_bytes

    def change(self, user_id: str, n_bytes: int) -> None:
        """Count so many bytes more, or less if negative."""
        self.held_bytes += n_bytes
        held = self._users.get(user_id, 0) + n_bytes
        if held:
            self._users[user_id] = held
        else:
            self._users.pop(user_id, None)


def no_room(param: str = "") -> MistakeError:
    """The error for what cannot be kept."""
    words = "more sound waits to be heard than there is room for"
    return MistakeError("input_audio_buffer_full", words, param, kind="rate_limit_error")


class Holding:
    """A part of the room. Whoever holds it gives everything back in the end."""

    __slots__ = ("_room", "_user_id", "n_bytes")

    def __init__(self, room: HearingRoom, user_id: str) -> None:
        self._room = room
        self._user_id = user_id
        self.n_bytes = 0

    def fits(self, n_bytes: int) -> bool:
        """True if there is room for so many bytes more."""
        return self._room.fits(self._user_id, n_bytes)

    def grow(self, n_bytes: int) -> None:
        """Hold so many bytes more, for which there is room."""
        self._room.change(self._user_id, n_bytes)
        self.n_bytes += n_bytes

    def shrink(self, n_bytes: int) -> None:
        """Hold so many bytes less."""
        self._room.change(self._user_id, -n_bytes)
        self.n_bytes -= n_bytes

    def clear(self) -> None:
        """Hold nothing more."""
        self.shrink(self.n_bytes)
