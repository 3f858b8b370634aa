"""Live sessions are found by id and by user, without a search through all of them."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from streaming.ports import Identity
from streaming.residents import Departure, Residents
from streaming.traffic import Traffic

if TYPE_CHECKING:
    from streaming.ports import LiveWatching
    from streaming.residents import Tap


class Guest:
    """A resident that counts how often anybody looks at it."""

    def __init__(self, session_id: str, user_id: str) -> None:
        self.looks = 0
        self._session_id = session_id
        self._identity = Identity(user_id, user_id, ())
        self.opened_at = 0.0
        self.connected = True
        self.busy = self.must_finish = False
        self.channels: Counter[str] = Counter()
        self.traffic = Traffic(bytes_received=10)
        self.queued_bytes = 0
        self.audio_bytes_dropped = 3
        self.taps: list[Tap] = []
        self.left: list[Departure] = []

    @property
    def session_id(self) -> str:
        self.looks += 1
        return self._session_id

    @property
    def identity(self) -> Identity:
        self.looks += 1
        return self._identity

    def announce_drain(self, reconnect_after_ms: int) -> None:
        raise AssertionError(reconnect_after_ms)

    async def hand_over(self) -> None:
        raise AssertionError

    def leave(self, reason: Departure) -> None:
        self.left.append(reason)

    def dismiss(self, reason: Departure) -> None:
        self.left.append(reason)

    def watch(self, *, audio: bool) -> LiveWatching:
        raise AssertionError(audio)


def test_nobody_else_is_looked_at() -> None:
    residents = Residents()
    others = [Guest(f"s{number}", f"u{number}") for number in range(1_000)]
    mine = Guest("kitchen", "ada")
    for guest in (*others[:500], mine, *others[500:]):
        residents.make_current(guest)
    for guest in (*others, mine):
        guest.looks = 0
    assert residents.current("kitchen") is mine
    assert residents.of_session("kitchen") == [mine]
    assert residents.of_user("ada") == [mine]
    residents.remove(mine)
    assert residents.of_user("ada") == []
    assert sum(guest.looks for guest in others) == 0
    assert mine.looks <= 5


def test_an_earlier_session_of_the_same_id_lingers() -> None:
    residents = Residents()
    earlier, later = Guest("kitchen", "ada"), Guest("kitchen", "ada")
    residents.make_current(earlier)
    residents.make_current(later)
    assert residents.current("kitchen") is later
    assert residents.of_session("kitchen") == residents.of_user("ada") == list(residents) == [earlier, later]
    residents.remove(earlier)
    assert residents.current("kitchen") is later
    residents.remove(later)
    assert residents.current("kitchen") is None
    assert list(residents) == []


def test_one_that_is_only_added_does_not_speak_for_its_id() -> None:
    residents = Residents()
    residents.add(Guest("kitchen", "ada"))
    assert residents.current("kitchen") is None
    assert len(residents.of_session("kitchen")) == 1


def test_what_ended_sessions_counted_is_kept() -> None:
    residents = Residents()
    first, second = Guest("a", "ada"), Guest("b", "bob")
    residents.make_current(first)
    residents.make_current(second)
    residents.remove(first)
    traffic, dropped_bytes = residents.of_ended()
    assert (traffic.bytes_received, dropped_bytes) == (10, 3)
