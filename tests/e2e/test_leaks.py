"""Sessions and requests leave nothing behind, even without the cyclic garbage collector. `tests.bench.leaks` is the long version."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest

from tests.bench.leaks import Uncollected, several

if TYPE_CHECKING:
    from pathlib import Path

    from tests.bench.leaks import Held

WARM_UP, MANY = 20, 80
IN_USE_KIB = 1024  # more; connections that kept their heads took 26 MiB
GROWN_KIB = 12 * 1024  # with what is free: arenas of Python's are 1 MiB each
OBJECTS_EACH = 20  # a rate limiter's window for each user, and a call that failed; a session with cycles left 112
PATIENCE_S = 60.0  # for a machine that is busy


@pytest.mark.parametrize("spoken", [False, True])
async def test_sessions_and_requests_leave_nothing(tmp_path: Path, spoken: bool) -> None:
    """`spoken`: sessions torn while a channel, a turn or a response is being spoken, which needs the services."""
    it = Uncollected(tmp_path, services=spoken)
    try:
        for one in (it.spoken,) if spoken else (it.session, it.dialect, it.request):
            await several(one, 0, WARM_UP)
            before = await it.settled()
            await several(one, WARM_UP, MANY)
            after = await back_to(it, before)
            assert after.tasks <= before.tasks
            assert after.descriptors <= before.descriptors
            assert after.objects - before.objects < OBJECTS_EACH * MANY
            assert after.in_use_kib - before.in_use_kib < IN_USE_KIB
            assert own_kib(after) - own_kib(before) < GROWN_KIB
    finally:
        it.gateway.stop()


def own_kib(held: Held) -> int:
    """Memory that is not code: that is mapped when it is first used."""
    return held.rss_kib - held.code_kib


async def back_to(it: Uncollected, before: Held) -> Held:
    """What is held once no more than before is, or patience has ended."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        held = await it.held()
        few = held.objects - before.objects < OBJECTS_EACH * MANY
        if (
            few and held.tasks <= before.tasks and held.descriptors <= before.descriptors
        ) or time.monotonic() > deadline:
            return held
        await asyncio.sleep(0.2)
