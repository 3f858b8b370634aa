"""What sockets do at the end of a tick."""

from __future__ import annotations

import asyncio

from server.net.tick import TickEnd


async def test_all_of_a_tick_share_one_callback_in_their_order() -> None:
    loop, tick_end = asyncio.get_running_loop(), TickEnd()
    done: list[str] = []
    tick_end.add(lambda: done.append("a"))
    loop.call_soon(done.append, "later")
    tick_end.add(lambda: done.append("b"))
    assert done == []
    await asyncio.sleep(0)
    assert done == ["a", "b", "later"]


async def test_what_is_added_meanwhile_comes_in_the_next_tick() -> None:
    tick_end, done = TickEnd(), list[int]()

    def act() -> None:
        done.append(len(done))
        if len(done) < 3:
            tick_end.add(act)

    tick_end.add(act)
    for count in (1, 2, 3, 3):
        await asyncio.sleep(0)
        assert len(done) == count


async def test_what_one_raises_is_told_and_does_not_hold_up_the_others() -> None:
    loop, tick_end = asyncio.get_running_loop(), TickEnd()
    done: list[str] = []
    told: list[BaseException] = []
    loop.set_exception_handler(lambda _loop, context: told.append(context["exception"]))

    def fail() -> None:
        raise ValueError

    tick_end.add(fail)
    tick_end.add(lambda: done.append("b"))
    await asyncio.sleep(0)
    loop.set_exception_handler(None)
    assert done == ["b"]
    assert [type(error) for error in told] == [ValueError]
