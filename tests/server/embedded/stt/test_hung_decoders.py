"""A decoder process that hangs is noticed when it is used: it is killed and replaced, and its utterances go to another."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from server.embedded.stt import process
from server.embedded.stt.engine import whisper
from server.embedded.stt.pool import DecoderPool
from server.embedded.stt.process import IDLE_LOOKS, LOOK_S, DecoderDiedError, Work, longest_s
from server.embedded.stt.transcript import Job
from tests.server.embedded.speech import folded, recording, silence
from tests.server.embedded.stt.test_pool import settled, with_decoders

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SPOKEN = Job(recording("flite-kal-stop") + silence(600), final=True)


class Clock:
    """The loop's time, which stands still until a test moves it: the limits of processes that answer never pass."""

    now_s = 0.0


@pytest.fixture
def clock(io_loop: object, monkeypatch: pytest.MonkeyPatch) -> Clock:
    loop: asyncio.AbstractEventLoop = io_loop.asyncio_loop  # type: ignore[attr-defined] # Tornado's loop
    clock = Clock()
    clock.now_s = loop.time()
    monkeypatch.setattr(loop, "time", lambda: clock.now_s)
    return clock


@pytest.fixture
def pool(io_loop: object, clock: Clock) -> Iterator[DecoderPool]:
    del clock  # before the processes start
    pool = DecoderPool(whisper(), n_processes=2)
    io_loop.run_sync(pool.start)  # type: ignore[attr-defined] # Tornado's loop
    yield pool
    io_loop.run_sync(pool.stop)  # type: ignore[attr-defined] # Tornado's loop


async def stop(pid: int) -> None:
    """Until then it may still wait for a core, on which it would notice."""
    os.kill(pid, signal.SIGSTOP)
    while {process.fields_of(thread)[0] for thread in Path(f"/proc/{pid}/task").iterdir()} != {b"T"}:
        await asyncio.sleep(0)


async def let_hang(pool: DecoderPool, clock: Clock, pid: int) -> None:
    """Look at a stopped process twice, once it has a job, and wait until it is gone. No user waits for longer than that."""
    while not any(one.pid == pid and one.busy for one in pool.processes):
        await asyncio.sleep(0)
    await settled()
    for _ in range(IDLE_LOOKS):
        assert any(one.pid == pid for one in pool.processes)
        clock.now_s += LOOK_S + 0.1
        await settled()
    while any(one.pid == pid for one in pool.processes):
        await asyncio.sleep(0)


async def replaced(pool: DecoderPool, pids: list[int]) -> None:
    while len({one.pid for one in pool.processes} - set(pids)) < len(pids):
        await asyncio.sleep(0)


async def test_an_utterance_of_a_process_that_was_stopped_is_decoded_by_another(
    pool: DecoderPool, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    pid = pool.processes[0].pid
    await stop(pid)
    with caplog.at_level(logging.ERROR):
        async with asyncio.TaskGroup() as group:
            decoding = group.create_task(pool.decode(SPOKEN), name="utterance")
            await let_hang(pool, clock, pid)
    assert folded(decoding.result().text) == "stop"
    assert "a speech decoder process hangs and is killed" in caplog.text
    await replaced(pool, [pid])
    assert folded((await pool.decode(SPOKEN)).text) == "stop"


async def test_an_utterance_at_which_two_processes_hang_fails_and_the_next_one_does_not(
    pool: DecoderPool, clock: Clock
) -> None:
    pids = [one.pid for one in pool.processes]
    for pid in pids:
        await stop(pid)

    async def fails() -> None:
        with pytest.raises(DecoderDiedError):
            await pool.decode(SPOKEN)

    async with asyncio.TaskGroup() as group:
        group.create_task(fails(), name="utterance")
        for pid in pids:
            await let_hang(pool, clock, pid)
    await replaced(pool, pids)
    assert folded((await pool.decode(SPOKEN)).text) == "stop"


@pytest.mark.parametrize(
    "work",
    [
        lambda look: Work(0.06 * look, 0, waits=False),
        lambda look: Work(0, look, waits=False),
        lambda look: Work(look // 2, 0, waits=False),
        lambda _look: Work(0, 0, waits=True),
        lambda _look: None,
    ],
    ids=["slow", "swapped", "stands still", "kept waiting", "unknown"],
)
async def test_a_process_that_is_only_slow_is_waited_for(
    pool: DecoderPool, clock: Clock, monkeypatch: pytest.MonkeyPatch, work: Callable[[int], Work | None]
) -> None:
    """As on a machine that is busy with others, or swaps, or stands still now and then; or with a larger model."""
    pid = pool.processes[0].pid
    numbers = count()
    monkeypatch.setattr(process, "work_of", lambda _pid: work(next(numbers)))
    await stop(pid)
    async with asyncio.TaskGroup() as group:
        decoding = group.create_task(pool.decode(SPOKEN), name="utterance")
        while not any(one.pid == pid and one.busy for one in pool.processes):
            await asyncio.sleep(0)
        for _ in range(int(longest_s([SPOKEN]) / LOOK_S)):
            await settled()
            clock.now_s += LOOK_S + 0.1
        await settled()
        os.kill(pid, signal.SIGCONT)
    assert folded(decoding.result().text) == "stop"
    assert pool.processes[0].pid == pid


async def test_what_a_process_has_used_is_known() -> None:
    before = process.work_of(os.getpid())
    assert before is not None
    assert before.waits  # whoever reads this runs
    while not (now := process.work_of(os.getpid())) or not now._replace(waits=False).goes_on(before):
        sum(range(1_000))
    assert process.work_of(2**30) is None


async def test_an_answer_that_came_while_the_service_itself_stood_still_counts(
    pool: DecoderPool, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both the answer and the end of the time are found at once."""
    pipes = pool.processes[0]._pipes
    received = pipes.pipe_data_received

    def stood_still(fd: int, data: bytes) -> None:
        clock.now_s += 60
        received(fd, data)

    monkeypatch.setattr(pipes, "pipe_data_received", stood_still)
    pid = pool.processes[0].pid
    assert folded((await pool.decode(SPOKEN)).text) == "stop"
    await settled()
    assert pool.processes[0].pid == pid


def test_a_process_may_take_the_longer_the_more_sound_it_has() -> None:
    second, minute = Job(bytes(32_000), final=True), Job(bytes(32_000 * 60), final=True)
    assert longest_s([second]) == 7
    assert longest_s([second, minute]) == 127
    assert longest_s([Job(bytes(32_000), final=True, closer=True)]) == 65, "it decodes the whole window"


async def test_an_utterance_whose_process_died_is_decoded_again_alone() -> None:
    """So what one of a batch does to a process is not done to the others twice."""
    pool, (only,) = await with_decoders(1)
    failed: list[bytes] = []

    async def ask(pcm: bytes) -> None:
        try:
            await pool.decode(Job(pcm, final=True))
        except DecoderDiedError:
            failed.append(pcm)

    def die() -> None:
        only.busy = False  # as the one that replaces it is not
        only.answers[-1].set_exception(DecoderDiedError())

    names = [b"1", b"bad", b"3"]
    async with asyncio.TaskGroup() as group:
        group.create_task(ask(b"under way"), name="first")
        await settled()
        for name in names:
            group.create_task(ask(name), name="job")
        await settled()
        only.answer()
        await settled()
        die()
        await settled()
        for name in names:
            assert [job.pcm for job in only.batches[-1]] == [name]
            die() if name == b"bad" else only.answer()
            await settled()
    assert failed == [b"bad"]
    assert [len(batch) for batch in only.batches] == [1, 3, 1, 1, 1]
