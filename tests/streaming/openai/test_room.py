"""HearingRoom for what waits to be heard."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from streaming.openai.room import HearingRoom


def fill(room: HearingRoom, user_id: str) -> int:
    """Hold as much as there is room for; returns how much."""
    share = room.holding(user_id)
    while share.fits(1):
        share.grow(1)
    return share.n_bytes


def test_users_who_hold_all_they_can_leave_room_for_another() -> None:
    room = HearingRoom(1000)
    held = [fill(room, f"user-{number}") for number in range(4)]
    assert held == [500, 250, 125, 62]
    assert fill(room, "user-0") == 0


def test_a_user_s_sessions_have_one_bound() -> None:
    room = HearingRoom(1000)
    assert [fill(room, "ada") for _ in range(3)] == [500, 0, 0]


def test_what_is_given_back_is_free_again() -> None:
    room = HearingRoom(1000)
    share = room.holding("ada")
    share.grow(500)
    share.shrink(200)
    assert (share.n_bytes, room.held_bytes, share.fits(200), share.fits(201)) == (300, 300, True, False)
    share.clear()
    assert (share.n_bytes, room.held_bytes) == (0, 0)


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(-300, 300))))
def test_nobody_holds_more_than_there_is(changes: list[tuple[int, int]]) -> None:
    room = HearingRoom(1000)
    shares = [room.holding(f"user-{number % 2}") for number in range(4)]
    for number, n_bytes in changes:
        share = shares[number]
        if n_bytes < 0:
            share.shrink(min(-n_bytes, share.n_bytes))
        elif share.fits(n_bytes):
            share.grow(n_bytes)
        assert room.held_bytes == sum(one.n_bytes for one in shares) <= 1000
    for share in shares:
        share.clear()
    assert fill(room, "user-0") == 500
