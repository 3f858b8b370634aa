"""When a client is told that its token ends soon: a minute before, and half way for a token of less than two."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from streaming.expiry import TokenTimer
from tests.support import virtual_time


@pytest.mark.parametrize(("left_s", "warned_after_s"), [(3600, 3540), (120, 60), (60, 30), (10, 5), (-5, 0)])
def test_the_warning_leaves_time_to_renew(
    left_s: float, warned_after_s: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    happened: list[tuple[str, float]] = []

    async def test() -> None:
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(time, "time", lambda: 1000.0)
        began = loop.time()

        def note(what: str) -> None:
            happened.append((what, round(loop.time() - began, 3)))

        TokenTimer(loop, partial(note, "warned"), partial(note, "expired")).start(1000.0 + left_s)
        await asyncio.sleep(max(0, left_s) + 1)

    virtual_time.run(test())
    assert happened == [("warned", warned_after_s), ("expired", max(0, left_s))]


def test_a_new_token_replaces_the_expiry_of_the_old_one() -> None:
    happened: list[str] = []

    async def test() -> None:
        timer = TokenTimer(asyncio.get_running_loop(), None, lambda: happened.append("expired"))
        timer.start(time.time() + 10)
        timer.start(None)
        await asyncio.sleep(20)
        timer.start(time.time() + 10)
        timer.stop()
        await asyncio.sleep(20)

    virtual_time.run(test())
    assert happened == []
