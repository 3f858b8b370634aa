from __future__ import annotations

import asyncio
from functools import partial
from typing import TYPE_CHECKING, Any

from streaming.wakes import STEP_S, Wakes, step_at
from tests.support import virtual_time

if TYPE_CHECKING:
    from collections.abc import Callable


def test_timers_of_many_sessions_fire_in_few_wakes_and_never_early() -> None:
    async def test() -> None:
        loop, wakes = asyncio.get_running_loop(), Wakes()
        lateness_s: list[float] = []
        due = [20 + number * 0.002 for number in range(500)]  # heartbeats of a second, of ten thousand idle sessions
        callbacks = count_callbacks(loop)
        for at in due:
            wakes.set(step_at(at), partial(lambda at: lateness_s.append(loop.time() - at), at))
        await asyncio.sleep(30)
        assert len(callbacks) <= 1 / STEP_S + 2  # the last one is the sleeper's
        assert len(lateness_s) == len(due)
        assert all(0 <= late <= STEP_S + 1e-9 for late in lateness_s)

    virtual_time.run(test())


def count_callbacks(loop: asyncio.AbstractEventLoop) -> list[float]:
    """The times of the timers that are set from now on."""
    timers: list[float] = []
    call_at = loop.call_at

    def counted(when: float, callback: Callable[..., object], *args: Any, **options: Any) -> asyncio.Handle:
        timers.append(when)
        return call_at(when, callback, *args, **options)

    loop.call_at = counted  # type: ignore[method-assign, assignment]
    return timers


def test_a_moment_of_the_grid_stays_where_it_is() -> None:
    assert step_at(step_at(20.013) * STEP_S) == step_at(20.013)


def test_an_earlier_timer_is_not_kept_waiting_and_a_cancelled_one_does_not_fire() -> None:
    async def test() -> None:
        loop, wakes = asyncio.get_running_loop(), Wakes()
        fired: list[tuple[str, float]] = []

        def note(name: str) -> None:
            fired.append((name, round(loop.time(), 2)))

        late, early, never = partial(note, "late"), partial(note, "early"), partial(note, "never")
        wakes.set(step_at(2.0), late)
        wakes.set(step_at(1.0), early)
        step = wakes.set(step_at(1.0), never)
        wakes.cancel(step, never)
        wakes.cancel(step, never)
        wakes.cancel(step_at(7.0), never)
        await asyncio.sleep(3)
        wakes.set(step_at(1.0), late)  # its time has come long ago
        await asyncio.sleep(STEP_S)
        assert fired == [("early", 1.0), ("late", 2.0), ("late", 3.0)]

    virtual_time.run(test())


def test_what_fires_may_cancel_and_set_others_and_fail() -> None:
    async def test() -> None:
        loop, wakes = asyncio.get_running_loop(), Wakes()
        told: list[dict[str, Any]] = []
        loop.set_exception_handler(lambda _loop, context: told.append(context))
        fired: list[float] = []
        both: list[Callable[[], None]] = []

        def again() -> None:
            """Cancels the other one, and sets itself for the step that is over."""
            fired.append(round(loop.time(), 2))
            for other in both:
                wakes.cancel(step_at(1.0), other)
            if len(fired) < 3:
                wakes.set(step_at(1.0), again)

        def broken() -> None:
            raise ValueError("a flaw")

        def rival() -> None:
            again()

        both += [again, rival]
        for act in (again, rival, broken):
            wakes.set(step_at(1.0), act)
        await asyncio.sleep(2)
        assert fired == [1.0, 1.05, 1.1]
        assert [str(each["exception"]) for each in told] == ["a flaw"]

    virtual_time.run(test())


def test_a_timer_is_moved_to_an_earlier_time_and_left_at_one() -> None:
    async def test() -> None:
        loop, wakes = asyncio.get_running_loop(), Wakes()
        fired: list[float] = []

        def act() -> None:
            fired.append(round(loop.time(), 2))

        assert wakes.move(0, None, act, anew=False) == 0
        step = wakes.move(0, 5.0, act, anew=False)
        step = wakes.move(step, 9.0, act, anew=False)
        assert step == step_at(5.0)  # it looks again then
        step = wakes.move(step, 2.0, act, anew=False)
        step = wakes.move(step, 4.0, act, anew=True)
        await asyncio.sleep(20)
        assert fired == [4.0]
        step = wakes.move(wakes.set(step_at(30.0), act), None, act, anew=False)
        await asyncio.sleep(20)
        assert (step, fired) == (0, [4.0])

    virtual_time.run(test())
