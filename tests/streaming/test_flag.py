from __future__ import annotations

import asyncio

from streaming.flag import Flag
from tests.support import virtual_time


def test_a_flag_wakes_all_who_wait_even_if_it_is_cleared_at_once() -> None:
    async def test() -> None:
        flag, woken = Flag(), list[int]()

        async def wait(number: int) -> None:
            await flag.wait()
            woken.append(number)

        async with asyncio.TaskGroup() as group:
            for number in range(3):
                group.create_task(wait(number), name=f"waiter {number}")
            await asyncio.sleep(1)
            assert woken == []
            flag.set()
            flag.clear()
            await asyncio.sleep(1)
            assert woken == [0, 1, 2]
            assert not flag.is_set()
            group.create_task(wait(3), name="waiter 3")
            await asyncio.sleep(1)
            assert woken == [0, 1, 2]
            flag.set()
        assert woken == [0, 1, 2, 3]
        await flag.wait()  # it is set: no wait
        assert flag.is_set()

    virtual_time.run(test())
