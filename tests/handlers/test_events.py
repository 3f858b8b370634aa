"""Server-sent events that wait for a client that is slower than its task."""

from __future__ import annotations

from handlers.events import MAX_WAITING, MAX_WAITING_BYTES, WaitingEvents
from streaming.ports import TaskProgress


async def test_a_client_that_does_not_read_keeps_little_waiting() -> None:
    waiting = WaitingEvents()
    for number in range(200):
        waiting.put(TaskProgress(f"step {number}", data="x" * 64 * 1024))
    chunk = await waiting.take()
    assert MAX_WAITING_BYTES // 2 < len(chunk) <= MAX_WAITING_BYTES
    assert b"step 199" in chunk  # the newest


async def test_many_short_events_are_bounded_too_and_a_long_one_is_told() -> None:
    waiting = WaitingEvents()
    for number in range(2 * MAX_WAITING):
        waiting.put(TaskProgress(f"step {number}"))
    assert (await waiting.take()).count(b"event: progress") == MAX_WAITING
    waiting.put(TaskProgress("long", data="x" * 2 * MAX_WAITING_BYTES))
    assert len(await waiting.take()) > 2 * MAX_WAITING_BYTES
    waiting.put(TaskProgress("next"))
    assert b"next" in await waiting.take()
