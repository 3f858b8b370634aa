from __future__ import annotations

from streaming.wakes import GRID_S, on_grid


def test_timers_of_many_sessions_fire_in_few_wakes_and_never_early() -> None:
    due = [20 + number * 0.002 for number in range(500)]  # heartbeats of a second, of ten thousand idle sessions
    fired = [on_grid(at) for at in due]
    assert len(set(fired)) <= 1 / GRID_S + 1
    assert all(0 <= late - at <= GRID_S + 1e-9 for at, late in zip(due, fired, strict=True))


def test_a_moment_of_the_grid_stays_where_it_is() -> None:
    assert on_grid(on_grid(20.013)) == on_grid(20.013)
