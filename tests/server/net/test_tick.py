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
